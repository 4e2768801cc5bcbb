// Command worker consumes a stream of orders with as many others as there are, and does what must
// be done by one of them alone while it leads.
//
//	go run ./examples/worker
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router/limits"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	wevent "github.com/micro/go-platform/wrapper/event"
)

// snippet: worker
// worker handles orders until ctx ends. One of all workers, in any process, also calls report from
// time to time.
func worker(ctx context.Context, stream event.Stream, s dsync.Sync, name string,
	handle event.Handler, report func(ctx context.Context, name string, behind int64)) error {
	sub, err := stream.Subscribe(ctx, handle,
		event.Types("order.*"), event.Group("billing"), event.From(event.Beginning()))
	if err != nil {
		return err
	}
	election, err := s.Leader("billing", dsync.Owner(name))
	if err != nil {
		return errors.Join(err, sub.Close(ctx))
	}
	err = dsync.RunElected(ctx, election, func(ctx context.Context, _ uint64) error {
		for { // until ctx ends: with the worker, or with the leadership
			if lag, err := sub.Lag(ctx); err == nil {
				report(ctx, name, lag.Pending+lag.Behind)
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	// Handlers in flight end first; what was fetched and not begun goes to the others at once.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if ctx.Err() != nil {
		err = nil // we were asked to stop
	}
	return errors.Join(err, sub.Close(closing), election.Close())
}

// end snippet

func run(ctx context.Context, out io.Writer) (err error) {
	stream, err := event.New() // or redis.Backend, nats.Backend, sql.Postgres
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close(context.WithoutCancel(ctx))) }()
	// snippet: stack
	lg, err1 := log.New(log.WithContext(trace.ContextAttrs))
	tr, err2 := trace.New(trace.WithService("billing"))
	mt, err3 := metrics.New()
	limit, err4 := limits.Concurrency(8) // a record beyond waits, and is not lost
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	w, err := wrapper.New(wrapper.WithName("billing"), wrapper.WithLog(lg), wrapper.WithTrace(tr), wrapper.WithMetrics(mt), wrapper.WithLimit(limit))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close(context.WithoutCancel(ctx))) }()
	orders := wevent.Stream(w, stream) // handlers and what is published: traced, counted, limited
	// end snippet
	s, err := dsync.New() // or etcd.Backend, consul.Backend, redis.Backend
	if err != nil {
		return err
	}
	defer s.Close()

	const count = 100
	var (
		mu      sync.Mutex
		charged = map[string]bool{} // at least once: the subject tells a repetition
		all     = make(chan struct{})
		leads   = make(chan string)
	)
	handle := func(_ context.Context, r *event.Record) error {
		mu.Lock()
		defer mu.Unlock()
		if charged[r.Subject] {
			return nil
		}
		charged[r.Subject] = true
		if len(charged) == count {
			close(all)
		}
		return nil
	}
	report := func(ctx context.Context, name string, _ int64) {
		select {
		case leads <- name:
		case <-ctx.Done():
		}
	}

	failed := make(chan error, 2)
	stop := map[string]context.CancelFunc{}
	for _, name := range []string{"one", "two"} {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stop[name] = cancel
		go func() { failed <- worker(ctx, orders, s, name, handle, report) }()
	}
	for i := range count {
		if err := orders.Publish(ctx, &event.Record{Type: "order.created", Subject: fmt.Sprint("order/", i)}); err != nil {
			return err
		}
	}
	select {
	case <-all:
	case err := <-failed:
		return err
	}
	fmt.Fprintln(out, "every order was charged")
	var handled uint64
	for _, s := range mt.Snapshot().Match("messaging.process.duration", metrics.Label{Key: "messaging.destination.name", Value: "order.created"}) {
		handled += s.Count
	}
	fmt.Fprintln(out, "and counted:", handled >= count-8) // but for those that are just about to return

	first := <-leads
	stop[first]()
	err = <-failed
	second := <-leads
	fmt.Fprintln(out, "the other one leads now:", second != first)
	stop[second]()
	return errors.Join(err, <-failed)
}

const about = "worker: two workers share 100 orders and elect a leader; then the leader stops.\n\n"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Print(about)
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
