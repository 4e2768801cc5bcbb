package event

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A handler's context ends when the watch has seen it for its time, and it is left behind
// when a tenth of that is over too: at these moments, and not before.
func TestWhenAHandlerIsLeftBehind(t *testing.T) {
	const limit = 200 * time.Millisecond // the watch looks every 10 ms
	for name, subscribe := range map[string]func(s Stream, h func(ctx context.Context)) (Subscription, error){
		"pump": func(s Stream, h func(ctx context.Context)) (Subscription, error) {
			return s.Subscribe(context.Background(), func(ctx context.Context, _ *Record) error { h(ctx); return nil }, Group("g"), HandlerTimeout(limit), MaxAttempts(1))
		},
		"workers": func(s Stream, h func(ctx context.Context)) (Subscription, error) {
			return s.Subscribe(context.Background(), func(ctx context.Context, _ *Record) error { h(ctx); return nil }, Group("g"), HandlerTimeout(limit), MaxAttempts(1), Concurrency(2))
		},
		"batches": func(s Stream, h func(ctx context.Context)) (Subscription, error) {
			return s.SubscribeBatch(context.Background(), func(ctx context.Context, _ []*Record) error { h(ctx); return nil }, Group("g"), HandlerTimeout(limit), MaxAttempts(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines := &logged{}
				s, err := New(WithLogger(textLogger(lines)))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.Background())
				release := make(chan struct{})
				defer close(release)
				contexts := make(chan context.Context, 10)
				sub, err := subscribe(s, func(ctx context.Context) { contexts <- ctx; <-release })
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Millisecond)
				if err := s.Publish(t.Context(), &Record{ID: "1", Type: "t"}); err != nil {
					t.Fatal(err)
				}
				ctx := <-contexts
				began := time.Now()
				if name == "batches" {
					began = began.Add(-10 * time.Millisecond) // of BatchWait
				}
				wait := func(d time.Duration) { time.Sleep(time.Until(began.Add(d))); synctest.Wait() }
				first := 5 * time.Millisecond // when the watch first sees it
				if name == "batches" {
					first += 10 * time.Millisecond
				}
				for _, c := range []struct {
					at      time.Duration
					ended   bool
					behind  int64
					running int
				}{
					{first + limit - 1, false, 0, 1},
					{first + limit, true, 0, 1},
					{first + limit + limit/10 - 1, true, 0, 1},
					{first + limit + limit/10, true, 1, 1},
				} {
					wait(c.at)
					st := sub.Stats()
					if (ctx.Err() != nil) != c.ended || st.TimedOut != c.behind || st.Running != c.running {
						t.Errorf("after %v: context %v, %+v, want %+v", c.at, ctx.Err(), st, c)
					}
				}
				if st := sub.Stats(); st.Dead != 1 || st.Failed != 1 || st.Held != 0 {
					t.Errorf("%+v, want one dead letter", st)
				}
				if n := lines.times("handler hangs, and is left behind"); n != 1 || lines.times("attempt=1") != 1 {
					t.Errorf("the log says %s", lines.text.String())
				}
			})
		})
	}
}

// What was handed out too often goes to the dead letters without another attempt, and
// what was handed out before is counted, whoever runs the handlers.
func TestWhatWasHandedOutBefore(t *testing.T) {
	for name, opts := range map[string][]SubscribeOption{"pump": nil, "workers": {Concurrency(2)}, "ordered": {Ordered(BySubject)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New()
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.Background())
				m := s.(*front).memory
				appendIDs(t, m, "one", "two", "three")
				g, err := m.Join(t.Context(), GroupConfig{Name: "g", Start: Beginning()})
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range []int{3, 2, 2, 1} { // and the process that has them ends
					ds, err := g.Fetch(t.Context(), n)
					if err != nil || len(ds) != n {
						t.Fatal(ds, err)
					}
					for i := range ds {
						m.groups["g"].state(ds[i].position()).attempt++ // Close takes one back
					}
					if err := g.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				var mu sync.Mutex // workers handle at the same time
				var handled []string
				sub, err := s.Subscribe(t.Context(), func(ctx context.Context, r *Record) error {
					d, _ := DeliveryFromContext(ctx)
					mu.Lock()
					handled = append(handled, r.ID)
					mu.Unlock()
					if d.Attempt > 4 {
						t.Errorf("attempt %d at %s", d.Attempt, r.ID)
					}
					return nil
				}, append(opts, Group("g"), MaxAttempts(4))...)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				slices.Sort(handled)
				if !slices.Equal(handled, []string{"three", "two"}) {
					t.Errorf("handled %q, want those that were not handed out too often", handled)
				}
				if st := sub.Stats(); st.Dead != 1 || st.Redelivered != 3 || st.Handled != 2 || st.Held != 0 {
					t.Errorf("%+v, want one dead letter, and three that came again", st)
				}
				for r, err := range s.Query(t.Context(), Types("dead.**")) {
					if err != nil || r.Metadata[DeadID] != "one" || r.Metadata[DeadAttempts] != "5" || !strings.Contains(r.Metadata[DeadError], "handed out 4 times") {
						t.Errorf("%+v, %v", r, err)
					}
				}
			})
		})
	}
}
