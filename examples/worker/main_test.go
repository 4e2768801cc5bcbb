package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
	dsync "github.com/micro/go-platform/sync"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestOrdersAreChargedAndTheLeaderIsReplaced(t *testing.T) {
	leak.Check(t)
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "every order was charged\nand counted: true\nthe other one leads now: true\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAWorkerThatStopsFinishesWhatItHandles(t *testing.T) {
	leak.Check(t)
	stream, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	s, err := dsync.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer stream.Close(context.Background())
	if err := stream.Publish(t.Context(), &event.Record{Type: "order.created"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	finished := false
	handle := func(ctx context.Context, _ *event.Record) error {
		close(began)
		<-goOn
		finished = ctx.Err() == nil
		return nil
	}
	go func() {
		done <- worker(ctx, stream, s, "one", handle, func(context.Context, string, int64) {})
	}()
	<-began
	cancel()
	close(goOn)
	if err := <-done; err != nil || !finished {
		t.Errorf("stopped with %v, handler finished: %t", err, finished)
	}
}

func TestWorkersShareTheOrdersAndOneLeads(t *testing.T) {
	leak.Check(t)
	stream, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.Background())
	s, err := dsync.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	handled, reports, done := make(chan string, 1000), make(chan string), make(chan error, 2)
	for _, name := range []string{"one", "two"} {
		go func() {
			done <- worker(ctx, stream, s, name, func(_ context.Context, r *event.Record) error {
				handled <- r.Subject
				return nil
			}, func(ctx context.Context, name string, _ int64) {
				select {
				case reports <- name:
				case <-ctx.Done():
				}
			})
		}()
	}
	const orders = 50
	for range orders {
		if err := stream.Publish(ctx, &event.Record{Type: "order.created"}); err != nil {
			t.Fatal(err)
		}
	}
	next := func() string {
		select {
		case name := <-reports:
			return name
		case <-ctx.Done():
			t.Fatal("nobody leads within a minute")
			return ""
		}
	}
	leader := next()
	for range 20 { // a second leader would be among them
		if name := next(); name != leader {
			t.Errorf("%s leads, and %s too", leader, name)
			break
		}
	}
	for range orders {
		select {
		case <-handled:
		case <-ctx.Done():
			t.Fatal("not all orders were handled within a minute")
		}
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := len(handled); n > 0 {
		t.Errorf("%d orders were handled twice", n)
	}
}
