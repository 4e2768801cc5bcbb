// Package event publishes the reports of package monitor as records of any
// event.Stream, so that every instance sees the cluster, and changes of health
// as records that anybody can subscribe to.
//
//	mo, err := monitor.New(monitorevent.Backend(stream), monitor.WithService("orders"),
//		monitor.WithOnChange(monitorevent.OnChange(stream, nil)))
//
// # Backends
//
// Any stream. Reports are records of the type "monitor.report"; give the stream
// a retention, since only the newest count.
//
// # Semantics
//
// An instance that starts hears of the others with their next reports.
//
// # Errors
//
// Those of the stream.
//
// # Closing
//
// The stream stays open: it is its owner's.
package event

import (
	"context"
	"encoding/json"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/monitor"
)

// The types of the records.
const (
	TypeReport = "monitor.report" // a monitor.Report as JSON
	TypeChange = "monitor.change" // a Change as JSON
)

// Backend publishes over a stream.
func Backend(stream event.Stream) monitor.Option {
	if fronts.Nil(stream) {
		return monitor.WithDriver("", nil)
	}
	return monitor.WithDriver("event", func(context.Context) (monitor.Driver, error) { return driver{stream}, nil })
}

type driver struct{ stream event.Stream }

func (d driver) Publish(ctx context.Context, r monitor.Report) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	in := r.Status.Instance
	return d.stream.Publish(ctx, &event.Record{
		Type: TypeReport, Source: in.Service, Subject: in.ID, ContentType: "application/json", Data: b,
	})
}

func (d driver) Watch(ctx context.Context, f func(monitor.Report)) error {
	s, err := d.stream.Subscribe(ctx, func(_ context.Context, r *event.Record) error {
		var report monitor.Report
		if json.Unmarshal(r.Data, &report) == nil { // what is no report is nobody's
			f(report)
		}
		return nil
	}, event.Types(TypeReport), event.Concurrency(1))
	if err != nil {
		return err
	}
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.Close(closing) // nobody asks any more
	return ctx.Err()
}

// Ping asks for one record.
func (d driver) Ping(ctx context.Context) error {
	for _, err := range d.stream.Query(ctx, event.Types(TypeReport), event.Limit(1)) {
		return err
	}
	return nil
}

func (driver) Close() error { return nil }

// Change is a change of an instance's health.
type Change struct {
	Instance monitor.Instance `json:"instance"`
	From     monitor.State    `json:"from"`
	To       monitor.State    `json:"to"`
	Ready    bool             `json:"ready"`
	Phase    monitor.Phase    `json:"phase"`
	Checks   []monitor.Result `json:"checks,omitempty"` // those that don't pass
}

// OnChange returns a function for monitor.WithOnChange that publishes each
// change of state, readiness or phase. failed is notified of records that could not
// be published; nil: nobody is.
func OnChange(stream event.Stream, failed func(error)) func(old, new monitor.Status) {
	return func(old, new monitor.Status) {
		if old.State == new.State && old.Ready == new.Ready && old.Phase == new.Phase {
			return
		}
		c := Change{Instance: new.Instance, From: old.State, To: new.State, Ready: new.Ready, Phase: new.Phase}
		for _, r := range new.Checks {
			if r.State != monitor.Pass {
				c.Checks = append(c.Checks, r)
			}
		}
		b, err := json.Marshal(c)
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err = stream.Publish(ctx, &event.Record{
				Type: TypeChange, Source: new.Instance.Service, Subject: new.Instance.ID, ContentType: "application/json", Data: b,
			})
		}
		if err != nil && failed != nil {
			failed(err)
		}
	}
}
