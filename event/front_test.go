package event

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
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
		d.err = errors.New("down")
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if d.calls != 0 {
			t.Errorf("trimmed %d times before its time", d.calls)
		}
		time.Sleep(1)
		synctest.Wait()
		if d.calls != 1 || lines.times("retention failed") != 1 {
			t.Errorf("trimmed %d times, and the log has %d lines", d.calls, lines.times("retention failed"))
		}
		d.err = nil
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := kept(t, d.memory); d.calls != 2 || !slices.Equal(got, []string{"2", "3"}) {
			t.Errorf("trimmed %d times, kept are %q", d.calls, got)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if d.calls != 2 {
			t.Errorf("trimmed %d times, also after Close", d.calls)
		}
	})
}

type trimmedDriver struct {
	*memory
	calls int
	err   error
}

func (d *trimmedDriver) Trim(ctx context.Context, keep Retention) (int64, error) {
	d.calls++
	if d.err != nil {
		return 0, d.err
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
