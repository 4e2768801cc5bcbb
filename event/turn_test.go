package event_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
)

// turns is a driver of one exclusive member, whose turn ends and begins again while the
// first answer of Holds is on its way.
type turns struct {
	*plain
	mu    sync.Mutex
	asked bool
	fetch chan func() ([]event.Delivered, error)
	over  chan struct{} // ends when the first answer arrives
}

func (m *turns) Join(context.Context, event.GroupConfig) (event.Member, error) { return m, nil }

func (m *turns) Holds() bool {
	m.mu.Lock()
	first := !m.asked
	m.asked = true
	m.mu.Unlock()
	if first {
		<-m.over
	}
	return true
}

func (m *turns) Fetch(ctx context.Context, _ int) ([]event.Delivered, error) {
	select {
	case f := <-m.fetch:
		return f()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *turns) Ack(context.Context, []event.Delivered) error     { return nil }
func (m *turns) Extend(context.Context, []event.Delivered) error  { return nil }
func (m *turns) Release(context.Context, []event.Delivered) error { return nil }
func (m *turns) Lag(context.Context) (event.Lag, error)           { return event.Lag{}, nil }

// A record that a runner has taken when the turn ends is not handled by it in the next
// turn: it is handed out again then, and may be done when the runner goes on.
func TestWhatWasTakenInAFormerTurnIsNotHandledInTheNext(t *testing.T) {
	for name, subscribe := range map[string]func(ctx context.Context, s event.Stream, handled func(...*event.Record)) error{
		"one by one": func(ctx context.Context, s event.Stream, handled func(...*event.Record)) error {
			_, err := s.Subscribe(ctx, func(_ context.Context, r *event.Record) error { handled(r); return nil },
				event.Group("g"), event.Ordered(event.BySubject), event.Concurrency(2))
			return err
		},
		"in batches": func(ctx context.Context, s event.Stream, handled func(...*event.Record)) error {
			_, err := s.SubscribeBatch(ctx, func(_ context.Context, rs []*event.Record) error { handled(rs...); return nil },
				event.Group("g"), event.Ordered(event.BySubject), event.Concurrency(2))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &turns{plain: &plain{more: make(chan struct{})}, fetch: make(chan func() ([]event.Delivered, error)), over: make(chan struct{})}
				s, err := event.New(event.WithDriver("turns", func(context.Context, event.Settings) (event.Driver, error) { return m, nil }))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.Background())
				var mu sync.Mutex
				var got []string
				if err := subscribe(t.Context(), s, func(rs ...*event.Record) {
					mu.Lock()
					defer mu.Unlock()
					for _, r := range rs {
						got = append(got, r.ID)
					}
				}); err != nil {
					t.Fatal(err)
				}
				hand := func() ([]event.Delivered, error) {
					var ds []event.Delivered
					for _, id := range []string{"1", "2"} {
						ds = append(ds, event.Delivered{Record: &event.Record{ID: id, Type: "t", Subject: "a"}, Attempt: 1, Position: id})
					}
					return ds, nil
				}
				m.fetch <- hand
				time.Sleep(time.Second)
				m.fetch <- func() ([]event.Delivered, error) { return nil, fault.Lost }
				m.fetch <- hand
				time.Sleep(time.Second)
				close(m.over)
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(got, []string{"1", "2"}) {
					t.Errorf("handled %v, want each once and in order", got)
				}
			})
		})
	}
}
