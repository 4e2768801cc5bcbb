package event_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
)

// A function of WithPropagation that panics for a dead letter, which a goroutine of the
// subscription publishes, keeps it back until it doesn't.
func TestPropagationMayPanicForADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &lockedBuilder{}
		var well atomic.Bool
		inject := func(_ context.Context, metadata map[string]string) {
			if metadata[event.DeadID] != "" && !well.Load() {
				panic("boom")
			}
		}
		s, err := event.New(event.WithLogger(slog.New(slog.NewTextHandler(lines, nil))), event.WithPropagation(inject, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.WithoutCancel(t.Context()))
		sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return event.Terminate(nil) }, event.Group("g"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(t.Context(), &event.Record{Type: "t", ID: "1"}); err != nil {
			t.Fatal(err)
		}
		dead := func() (n int) {
			for range s.Query(t.Context(), event.Types("dead.**")) {
				n++
			}
			return n
		}
		time.Sleep(time.Minute)
		if st := sub.Stats(); st.Held != 1 || st.Dead != 0 || dead() != 0 || !strings.Contains(lines.String(), `dead-lettering failed" group=g record=1 error="panic: boom"`) {
			t.Errorf("%+v, %d dead letters, and the log says %q", st, dead(), lines)
		}
		well.Store(true)
		time.Sleep(time.Minute)
		if st := sub.Stats(); st.Held != 0 || st.Dead != 1 || dead() != 1 {
			t.Errorf("then %+v, %d dead letters", st, dead())
		}
	})
}

// A function of Ordered that panics for some records keeps nothing from being handled,
// and is said in the log; other keys stay in order. The functions of WithPropagation and
// the handler are no others.
func TestFunctionsOfTheUsersOwnMayPanic(t *testing.T) {
	for name, partitions := range map[string][]event.SubscribeOption{"whole": nil, "divided": {event.Partitions(2)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines := &lockedBuilder{}
				s, err := event.New(event.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.WithoutCancel(t.Context()))
				var mu sync.Mutex
				handled := map[string][]string{}
				key := func(r *event.Record) string {
					if r.Subject == "panics" {
						panic("boom")
					}
					return r.Subject
				}
				sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
					mu.Lock()
					defer mu.Unlock()
					handled[r.Subject] = append(handled[r.Subject], r.ID)
					return nil
				}, append(partitions, event.Group("g"), event.Ordered(key), event.Concurrency(4))...)
				if err != nil {
					t.Fatal(err)
				}
				want := map[string][]string{}
				for n := range 20 {
					for _, subject := range []string{"a", "panics", "b"} {
						id := fmt.Sprint(subject, n)
						want[subject] = append(want[subject], id)
						if err := s.Publish(t.Context(), &event.Record{Type: "t", ID: id, Subject: subject}); err != nil {
							t.Fatal(err)
						}
					}
				}
				time.Sleep(time.Minute)
				mu.Lock()
				for subject, ids := range want {
					if !slices.Equal(handled[subject], ids) {
						t.Errorf("of %s %v were handled, want %v", subject, handled[subject], ids)
					}
				}
				mu.Unlock()
				if st := sub.Stats(); st.Held != 0 {
					t.Errorf("not acknowledged: %+v", st)
				}
				if text := lines.String(); !strings.Contains(text, "the function of Ordered panicked") || !strings.Contains(text, "record=panics0") || strings.Contains(text, "record=a0") {
					t.Errorf("the log says %q", text)
				} else if lines := strings.Count(text, "the function of Ordered panicked"); lines > 5 {
					t.Errorf("the log says it %d times for 20 records, want no more than 5", lines)
				}
			})
		})
	}
}

// lockedBuilder is a strings.Builder for several goroutines.
type lockedBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
