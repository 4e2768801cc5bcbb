package rabbitmq_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// While somebody publishes, the server tells a reader late that there is something. The
// reader took that for the end of the stream, and one that was at the end began again.
func TestWhatABusyServerHasIsFound(t *testing.T) {
	leak.Check(t)
	s := open(t, servertest.SharedRabbitMQ(t).DSN(), event.WithNamespace(servertest.Namespace(t)))
	if err := s.Publish(t.Context(), &event.Record{ID: "first", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	var seen, twice atomic.Int64
	var last atomic.Value
	last.Store("")
	if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
		if seen.Add(1) > 1 && r.Position == last.Load() || r.ID == "first" && seen.Load() > 1 {
			twice.Add(1)
		}
		last.Store(r.Position)
		return nil
	}, event.From(event.Beginning())); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer end()
	batch := make([]*event.Record, 20)
	for i := range batch {
		batch[i] = &event.Record{Type: "t", Data: make([]byte, 100)}
	}
	for range 2 {
		publishing.Go(func() {
			for ctx.Err() == nil {
				s.Publish(ctx, batch...)
			}
		})
	}
	for i := range 3 {
		for _, c := range []struct {
			from string
			opts []event.QueryOption
		}{{"the beginning", nil}, {"the end", []event.QueryOption{event.Reverse()}}} {
			n := 0
			for r, err := range s.Query(t.Context(), append(c.opts, event.Limit(1))...) {
				if err != nil {
					t.Fatal(err)
				}
				if c.opts == nil && r.ID != "first" {
					t.Fatalf("query %d from the beginning found %q", i, r.ID)
				}
				n++
			}
			if n != 1 {
				t.Errorf("query %d from %s found nothing", i, c.from)
			}
		}
	}
	if n := twice.Load(); n > 0 {
		t.Errorf("the subscription was handed %d records again", n)
	}
}

// Of records that are as large as they may be, one is read at a time. It is not the one
// that was read before.
func TestLargeRecordsAreReadOnByOne(t *testing.T) {
	leak.Check(t)
	const records = 4
	s := open(t, servertest.SharedRabbitMQ(t).DSN(), event.WithNamespace(servertest.Namespace(t)), event.WithMaxBytes(15<<20))
	data := make([]byte, 14<<20)
	for i := range records {
		if err := s.Publish(t.Context(), &event.Record{ID: fmt.Sprint(i), Type: "t", Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range s.Query(t.Context()) { // from here on it is known how large they are
		if err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan string, records)
	if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { got <- r.ID; return nil }, event.From(event.Beginning())); err != nil {
		t.Fatal(err)
	}
	for i := range records {
		select {
		case id := <-got:
			if id != fmt.Sprint(i) {
				t.Fatalf("record %s came where %d comes", id, i)
			}
		case <-time.After(60 * time.Second):
			t.Fatalf("record %d did not come", i)
		}
	}
}
