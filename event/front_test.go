package event

import (
	"context"
	"errors"
	"slices"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Retention is enforced as often as asked for; what fails is in the log, and tried again.
func TestRetentionIsEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &logged{}
		d := &trimmedDriver{memory: newMemory(Retention{})}
		s, err := New(WithRetention(Retention{Count: 2}), WithRetentionEvery(time.Minute), WithLogger(textLogger(lines)),
			WithDriver("trimmed", func(context.Context, Settings) (Driver, error) { return d, nil }))
		if err != nil {
			t.Fatal(err)
		}
		appendIDs(t, d.memory, "1", "2", "3")
		d.fails.Store(true)
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if d.calls.Load() != 0 {
			t.Errorf("trimmed %d times before its time", d.calls.Load())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if d.calls.Load() != 1 || lines.times("retention failed") != 1 {
			t.Errorf("trimmed %d times, and the log has %d lines", d.calls.Load(), lines.times("retention failed"))
		}
		d.fails.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := kept(t, d.memory); d.calls.Load() != 2 || !slices.Equal(got, []string{"2", "3"}) {
			t.Errorf("trimmed %d times, kept are %q", d.calls.Load(), got)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if d.calls.Load() != 2 {
			t.Errorf("trimmed %d times, also after Close", d.calls.Load())
		}
	})
}

type trimmedDriver struct {
	*memory
	calls atomic.Int64
	fails atomic.Bool
}

func (d *trimmedDriver) Trim(ctx context.Context, keep Retention) (int64, error) {
	d.calls.Add(1)
	if d.fails.Load() {
		return 0, errors.New("down")
	}
	return d.memory.Trim(ctx, keep)
}

// A request whose replies can't be subscribed to says so and waits for nothing; the next
// one subscribes. Late and doubled replies are counted.
func TestRequestsAndTheirReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newScripted()
		down := errors.New("down")
		d := &readsDriver{scriptedDriver{m}, down}
		s, err := New(WithDriver("reads", func(context.Context, Settings) (Driver, error) { return d, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		if _, err := s.Request(t.Context(), &Record{Type: "ask"}); !errors.Is(err, down) {
			t.Errorf("%v, want what failed", err)
		}
		if st := s.RequestStats(); st != (RequestStats{}) {
			t.Errorf("%+v, want nothing sent", st)
		}
		d.err = nil
		type answer struct {
			r   *Record
			err error
		}
		got := make(chan answer, 1)
		go func() {
			r, err := s.Request(t.Context(), &Record{ID: "q", Type: "ask"})
			got <- answer{r, err}
		}()
		synctest.Wait()
		if st := s.RequestStats(); st != (RequestStats{Sent: 1, Waiting: 1}) {
			t.Errorf("%+v, want one that waits", st)
		}
		q := s.(*front).requests
		for range 2 {
			q.answer(&Record{Metadata: map[string]string{replyID: "q", replyType: "sum", "k": "v"}})
		}
		a := <-got
		if a.err != nil || a.r.Type != "sum" || len(a.r.Metadata) != 1 {
			t.Errorf("%+v, %v", a.r, a.err)
		}
		synctest.Wait()
		if st := s.RequestStats(); st != (RequestStats{Sent: 1, Answered: 1, Late: 1}) {
			t.Errorf("%+v, want one answered and one late", st)
		}
	})
}

// readsDriver is one whose Read fails.
type readsDriver struct {
	scriptedDriver
	err error
}

func (d *readsDriver) Read(context.Context, ReadRequest) (Page, error) { return Page{}, d.err }
func (d *readsDriver) Wait(ctx context.Context, _ string) error        { <-ctx.Done(); return ctx.Err() }

// Who publishes also looks, a while later and now and then, for what others have
// scheduled; in a memory there are no others.
func TestWhoPublishesKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		k := &keeper{Driver: scriptedDriver{newScripted()}, due: func(int) (dueNow, error) { asked.Add(1); return dueNow{Now: time.Now()}, nil }}
		s, err := New(WithDriver("keeper", func(context.Context, Settings) (Driver, error) { return k, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		time.Sleep(time.Hour)
		if n := asked.Load(); n != 0 {
			t.Errorf("asked %d times before it was used", n)
		}
		if err := s.Publish(t.Context(), &Record{Type: "t"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(askOften - 1)
		if n := asked.Load(); n != 0 {
			t.Errorf("asked %d times at once", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times after a while, want once", n)
		}
	})
}

// fussy takes no record with Data.
type fussy struct {
	scriptedDriver
	mu    gosync.Mutex
	taken []*Record
}

func (d *fussy) Append(_ context.Context, rs []*Record) (int, error) {
	if len(rs[0].Data) > 0 {
		return 0, fault.Markf(ErrTooLarge, "too much")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken = append(d.taken, rs[0].Clone())
	return 1, nil
}

// A dead letter that the backend does not take with its Data is cut; what a handler
// panicked with is in the log and in the dead letter, and so is what a Replier did.
func TestDeadLettersOfHandlersThatPanic(t *testing.T) {
	boom := func(context.Context, *Record) error { panic("boom") }
	for name, subscribe := range map[string]func(s Stream) (Subscription, error){
		"one by one": func(s Stream) (Subscription, error) {
			return s.Subscribe(context.Background(), boom, Group("g"), MaxAttempts(1))
		},
		"in batches": func(s Stream) (Subscription, error) {
			return s.SubscribeBatch(context.Background(), func(context.Context, []*Record) error { panic("boom") }, Group("g"), MaxAttempts(1))
		},
		"a replier": func(s Stream) (Subscription, error) {
			return s.Subscribe(context.Background(), Replier(func(context.Context, *Record) (*Record, error) { panic("boom") }), Group("g"), MaxAttempts(1))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, lines := newScripted(), &logged{}
			d := &fussy{scriptedDriver: scriptedDriver{m}}
			s, err := New(WithLogger(textLogger(lines)), WithDriver("fussy", func(context.Context, Settings) (Driver, error) { return d, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(context.Background())
			sub, err := subscribe(s)
			if err != nil {
				t.Fatal(err)
			}
			r := &Record{ID: "1", Type: "t", RootID: "1", Position: "7", Metadata: map[string]string{"k": "v", replyTo: replyPrefix + "x"}, Data: []byte("data")}
			m.hand <- []Delivered{{Record: r, Attempt: 1, Position: "7"}}
			time.Sleep(time.Second)
			panicked := "event: handler panicked"
			if name == "a replier" {
				panicked = "event: replier panicked"
			}
			for text, want := range map[string]int{panicked: 1, "panic=boom": 1, "event: dead letter": 1} {
				if got := lines.times(text); got != want {
					t.Errorf("%s: %q is %d times in the log, want %d", name, text, got, want)
				}
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			dead := d.taken[len(d.taken)-1]
			if dead.Type != "dead.g" || dead.Metadata[DeadID] != "1" || dead.Metadata[DeadCut] != "4" || dead.Metadata["k"] != "" || dead.Metadata[DeadError] != "panic: boom" {
				t.Errorf("%s: %+v, want a dead letter that was cut", name, dead)
			}
			if st := sub.Stats(); st.Dead != 1 || st.Held != 0 {
				t.Errorf("%s: %+v", name, st)
			}
		})
	}
}
