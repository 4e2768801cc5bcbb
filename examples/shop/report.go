package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/event"
	dsync "github.com/micro/go-platform/sync"
)

// audit is what the database and the stream say of the orders of one run.
type audit struct {
	orders   map[string]Order
	charges  map[string]int
	placed   map[string]map[string]bool // sources and ids of records of order.placed, by order
	payments map[string]map[string]bool // of payment.*
}

// report prints what shoppers saw, and what became of their orders.
func (c *cluster) report(ctx context.Context, out io.Writer, l *load) error {
	say(out, "\nwhat shoppers saw\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	say(w, "phase\trequests\terrors\tp50\tp99\t\n")
	for _, p := range c.phases(l) {
		all := l.calls[p.name]
		say(w, "%s\t%d\t%d\t%s\t%s\t\n", p.name, len(all), l.failed[p.name], quantile(all, 0.50), quantile(all, 0.99))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if l.failure != nil {
		say(out, "the first error: %v\n", l.failure)
	}
	a, err := c.audit(ctx, l.run)
	if err != nil {
		return err
	}
	a.print(out, l)
	second := 0
	for _, version := range l.versions {
		if version == "2" {
			second++
		}
	}
	say(out, "catalogue 2 was for %d of %d shoppers; %d saw first one version and then another\n", second, len(l.versions), l.changed)
	return c.nightly(ctx, out)
}

// print compares what shoppers were told with what is stored, and the stores with
// each other.
func (a *audit) print(out io.Writer, l *load) {
	paid, refused, lost, twice, cheaper := 0, 0, 0, 0, 0
	for id := range l.placed {
		if _, ok := a.orders[id]; !ok {
			lost++ // it was confirmed and is not there
		}
	}
	for id, o := range a.orders {
		switch o.Status {
		case "paid":
			paid++
		case "refused":
			refused++
		default:
			lost++ // nobody was charged for it
		}
		if a.charges[id] > 1 || len(a.placed[id]) > 1 || len(a.payments[id]) > 1 {
			twice++
		}
		if len(a.placed[id]) == 0 || o.Status != "placed" && (a.charges[id] == 0 || len(a.payments[id]) == 0) {
			lost++ // the events or the charge are missing
		}
		full := int64(0)
		for product, n := range o.Items {
			full += assortment[product].Cents * n
		}
		if o.Cents < full {
			cheaper++
		}
	}
	say(out, "\norders, by the database and the events\n  %d placed = %d paid + %d refused; lost %d, twice %d\n", len(a.orders), paid, refused, lost, twice)
	say(out, "  %d were confirmed to shoppers; %d had the discount\n", len(l.placed), cheaper)
}

// audit reads what there is of a run, once every order is settled, or after a minute.
func (c *cluster) audit(ctx context.Context, run string) (a *audit, err error) {
	records, err := db.New(c.s.backends.db...)
	if err != nil {
		return nil, err
	}
	stream, err := event.New(c.s.backends.event...)
	if err != nil {
		return nil, errors.Join(err, records.Close())
	}
	defer func() { err = errors.Join(err, stream.Close(ctx), records.Close()) }()
	orders, err1 := collection[Order](ctx, records, "orders", db.Index("status"))
	charges, err2 := collection[Charge](ctx, records, "charges", db.Index("order"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		open, err := orders.Count(ctx, db.Where(db.Equal("status", "placed")))
		if err == nil && open == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	a = &audit{map[string]Order{}, map[string]int{}, map[string]map[string]bool{}, map[string]map[string]bool{}}
	for doc, err := range orders.Find(ctx) {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(doc.ID, run) {
			a.orders[doc.ID] = doc.Value
		}
	}
	for doc, err := range charges.Find(ctx) {
		if err != nil {
			return nil, err
		}
		a.charges[doc.Value.Order]++
	}
	for r, err := range stream.Query(ctx, event.Types("order.placed", "payment.*")) {
		if err != nil {
			return nil, err
		}
		of := a.payments
		if r.Type == "order.placed" {
			of = a.placed
		}
		if of[r.Subject] == nil {
			of[r.Subject] = map[string]bool{}
		}
		of[r.Subject][r.Source+" "+r.ID] = true
	}
	return a, nil
}

// nightly shows the report that the leader wrote.
func (c *cluster) nightly(ctx context.Context, out io.Writer) error {
	shared, err := c.s.store("shop-orders")
	if err != nil {
		return err
	}
	text, token, err := dsync.ReadFenced(ctx, cell{shared, "report"})
	if err != nil {
		return err
	}
	if token == 0 {
		say(out, "no leader has written a report yet\n")
		return nil
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	say(out, "the leader's last report, by %s under fencing token %d: %d placed, %d paid, %d refused\n", r.By, r.Token, r.Orders["placed"], r.Orders["paid"], r.Orders["refused"])
	return nil
}
