// Command swap does a little with each package, on whichever backends its flags name.
//
//	go run ./examples/swap
//	go run ./examples/swap -kv redis://127.0.0.1:6379 -sync etcd://127.0.0.1:2379 -db postgres://127.0.0.1/shop
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
)

// work is the same on every backend.
func (b *backends) work(ctx context.Context, out io.Writer) (err error) {
	store, err1 := kv.New(b.kv...)
	locks, err2 := dsync.New(b.sync...)
	registry, err3 := discovery.New(b.discovery...)
	records, err4 := db.New(b.db...)
	stream, err5 := event.New(b.event...)
	settings, err6 := config.New(b.config...)
	tracer, err7 := trace.New(b.trace...)
	counters, err8 := metrics.New(b.metrics...)
	lines, err9 := log.New(append(b.log, log.WithLevel("", 0))...)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		return err // what was opened ends with the program
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, lines.Close(end), counters.Close(end), tracer.Close(end), settings.Close(), stream.Close(end), records.Close(), registry.Close(), locks.Close(), store.Close(), b.engines.Close())
	}()

	ctx, span := tracer.Start(ctx, "swap")
	defer span.End()
	_, err = store.Put(ctx, "greeting", []byte("hello"), kv.TTL(time.Minute))
	if err != nil {
		return err
	}
	item, err := store.Get(ctx, "greeting")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "kv: %s = %s\n", item.Key, item.Value)

	err = dsync.Do(ctx, locks, "swap", func(ctx context.Context, token uint64) error {
		fmt.Fprintln(out, "sync: held, with a token:", token > 0)
		return nil
	})
	if err != nil {
		return err
	}

	self, err := registry.Register(ctx, discovery.Instance{Service: "swap", Address: "127.0.0.1:8080"})
	if err != nil {
		return err
	}
	known, err := registry.Get(ctx, "swap")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "discovery: instances:", len(known.Instances))
	if err := self.Deregister(ctx); err != nil {
		return err
	}

	orders, err := records.Table(ctx, "orders")
	if err != nil {
		return err
	}
	order := &db.Record{Metadata: map[string]any{"total": 42}}
	if err := orders.Create(ctx, order); err != nil {
		return err
	}
	fmt.Fprintln(out, "db: version", order.Version)

	if err := stream.Publish(ctx, &event.Record{Type: "order.created", Subject: order.ID}); err != nil {
		return err
	}
	for r, err := range stream.Query(ctx, event.Subject(order.ID)) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "event:", r.Type)
	}

	fmt.Fprintln(out, "config: workers:", settings.Get("workers").Int(4))
	counters.Counter("swaps_total").Inc()
	lines.Logger("swap").InfoContext(ctx, "done", "order", order.ID)
	return nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	b, err := parse(args)
	if err != nil {
		return err
	}
	return b.work(ctx, out)
}

const about = `swap: a little with every package, on the backends that the flags name (-h lists them); without flags on the embedded ones.
try:
  go run ./examples/swap -kv sqlite:swap.db -sync sqlite:swap.db -discovery sqlite:swap.db -event sqlite:swap.db -db sqlite:swap.db

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Print(about)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "swap:", err)
		os.Exit(1)
	}
}
