package outlet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/outlet"
)

func TestABatchGoesByItemsBytesAgeOrUrgency(t *testing.T) {
	for name, c := range map[string]struct {
		push   func(o *outlet.Outlet[int, []item])
		config func(c *outlet.Config[int, []item])
		at     time.Duration // when the first batch is sent
		sizes  string
	}{
		"below the items": {func(o *outlet.Outlet[int, []item]) { push(o, 0, 9) }, nil, time.Second, "[9]"},
		"the items":       {func(o *outlet.Outlet[int, []item]) { push(o, 0, 10) }, nil, 0, "[10]"},
		"above the items": {func(o *outlet.Outlet[int, []item]) { push(o, 0, 11) }, nil, 0, "[10 1]"},
		"the bytes":       {func(o *outlet.Outlet[int, []item]) { o.Push(0, 50, false) }, func(c *outlet.Config[int, []item]) { c.BatchBytes = 50 }, time.Second, "[1]"},
		"above the bytes": {func(o *outlet.Outlet[int, []item]) { o.Push(0, 51, false) }, func(c *outlet.Config[int, []item]) { c.BatchBytes = 50 }, 0, "[1]"},
		"no bound":        {func(o *outlet.Outlet[int, []item]) { push(o, 0, 9) }, func(c *outlet.Config[int, []item]) { c.BatchItems = 0 }, time.Second, "[9]"},
		"an urgent one":   {func(o *outlet.Outlet[int, []item]) { push(o, 0, 3); synctest.Wait(); o.Push(3, 1, true) }, nil, 0, "[4]"},
		"becomes whole": {func(o *outlet.Outlet[int, []item]) {
			for i := range 10 {
				push(o, i, 1)
				synctest.Wait()
			}
		}, nil, 0, "[10]"},
		"somebody waits for it": {func(o *outlet.Outlet[int, []item]) { push(o, 0, 3); synctest.Wait(); o.Drained() }, nil, 0, "[3]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{}
				o, g := open(r, c.config)
				synctest.Wait() // it waits for something to send
				began := time.Now()
				c.push(o)
				time.Sleep(5 * time.Second)
				if err := g.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if got := fmt.Sprint(r.sizes); got != c.sizes || r.calls[0].Sub(began) != c.at {
					t.Errorf("batches of %s, the first after %v; want %s, %v", got, r.calls[0].Sub(began), c.sizes, c.at)
				}
			})
		})
	}
}

// What waits and what is being sent is held within the bounds.
func TestTheQueueIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		config func(c *outlet.Config[int, []item])
		n      int
		full   uint64
	}{
		"at the items":    {nil, 100, 0},
		"above the items": {nil, 101, 1},
		"at the bytes":    {func(c *outlet.Config[int, []item]) { c.Items, c.Bytes = 0, 70 }, 70, 0},
		"above the bytes": {func(c *outlet.Config[int, []item]) { c.Items, c.Bytes = 0, 70 }, 71, 1},
		"no bound":        {func(c *outlet.Config[int, []item]) { c.Items = 0 }, 5000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				r := &receiver{do: func(_ context.Context, b []item) outlet.Result { <-free; return outlet.Result{Sent: len(b)} }}
				o, g := open(r, c.config)
				push(o, 0, 20)
				synctest.Wait() // a batch is being sent
				push(o, 20, c.n-20)
				s := o.Stats()
				if s.Full.Items != c.full || s.Full.Bytes != c.full || s.Queued.Items != uint64(c.n)-c.full {
					t.Errorf("%+v", s)
				}
				close(free)
				synctest.Wait()
				time.Sleep(time.Second)
				push(o, c.n, 1) // there is room again
				if err := g.Close(t.Context()); errors.Is(err, fault.Dropped) != (c.full > 0) {
					t.Errorf("Close: %v", err)
				}
				s = o.Stats()
				balanced(t, s, outlet.Count{Items: uint64(c.n + 1), Bytes: uint64(c.n + 1)})
				if s.Sent.Items != uint64(c.n+1)-c.full || !slices.IsSorted(r.ids()) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// While the receiver is unavailable one attempt at a time tests it, ever more
// seldom, also when batches are given up meanwhile.
func TestPausesGrowAcrossBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{do: down}
		o, g := open(r, func(c *outlet.Config[int, []item]) { c.RetryFor = time.Second })
		push(o, 0, 100)
		time.Sleep(10 * time.Second)
		early := r.attempts()
		time.Sleep(50 * time.Second)
		late := r.attempts() - early
		if early < 4 || early > 40 || late < 5 || late > 50 {
			t.Errorf("%d attempts in the first 10 s, %d in the 50 s behind them", early, late)
		}
		time.Sleep(10 * time.Minute)
		s := o.Stats()
		if s.Failed.Items != 100 || s.Queued.Items != 0 || s.Batches != 0 || o.Progress() != 0 || int(s.Retries) != r.attempts()-10 || int(s.Errors) != r.attempts() {
			t.Errorf("%d attempts, %+v", r.attempts(), s)
		}
		calls := r.times()
		for i := 1; i < len(calls); i++ {
			if gap := calls[i].Sub(calls[i-1]); gap < 100*time.Millisecond {
				t.Errorf("attempt %d comes %v after the one before", i, gap)
			}
		}
		r.becomes(nil)
		push(o, 100, 10)
		time.Sleep(time.Minute)
		if o.Progress() != 10 || o.Stats().Batches != 1 {
			t.Errorf("progress is %d: %+v", o.Progress(), o.Stats())
		}
		r.becomes(down)
		n := r.attempts()
		push(o, 110, 10)
		time.Sleep(900 * time.Millisecond)
		if n := r.attempts() - n; n < 2 {
			t.Errorf("%d attempts in the first second after it was well", n)
		}
		if err := g.Close(canceled()); !errors.Is(err, fault.Dropped) || !strings.Contains(err.Error(), "110 things") {
			t.Errorf("Close: %v", err)
		}
	})
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

type later struct {
	error
	after time.Duration
}

func (l later) RetryAfter() time.Duration { return l.after }

// Who flushes does not sit out a pause, unless the receiver has asked for it.
func TestAFlushCutsPausesShort(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		most time.Duration
	}{
		"ours":     {errors.New("refused"), 0},
		"asked":    {later{errors.New("busy"), 20 * time.Second}, 20 * time.Second},
		"wrapped":  {fmt.Errorf("x: %w", later{errors.New("busy"), 20 * time.Second}), 20 * time.Second},
		"too long": {later{errors.New("busy"), time.Hour}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{}
				r.do = func(_ context.Context, b []item) outlet.Result {
					if n := r.attempts(); n < 12 && c.most == 0 || n < 2 {
						return outlet.Result{Err: c.err}
					}
					return outlet.Result{Sent: len(b)}
				}
				o, g := open(r, func(c *outlet.Config[int, []item]) { c.RetryFor = time.Minute })
				push(o, 0, 10)
				for r.attempts() < 11 && c.most == 0 || r.attempts() < 1 {
					time.Sleep(time.Millisecond)
				}
				synctest.Wait()
				began := time.Now()
				if err := g.Flush(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > c.most || took < c.most-time.Second {
					t.Errorf("Flush took %v, want %v", took, c.most)
				}
				if err := g.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A note goes ahead of what somebody waits for, and is not taken for it.
func TestFlushWaitsForTheLastItemBehindANote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		var slow atomic.Bool
		r.do = func(_ context.Context, b []item) outlet.Result {
			if slow.Load() {
				time.Sleep(time.Second)
			}
			return outlet.Result{Sent: len(b)}
		}
		o, g := open(r, func(c *outlet.Config[int, []item]) {
			c.Items, c.BatchItems, c.Age = 11, 100, time.Hour
			c.Note = func(lost outlet.Count) ([]item, int) { return []item{{id: -int(lost.Items), bytes: 3}}, 3 }
		})
		push(o, 0, 11)
		push(o, 100, 5) // are dropped
		slow.Store(true)
		_ = g.Flush(t.Context())
		if got := r.ids(); len(got) != 12 || got[0] != -5 || got[11] != 10 {
			t.Errorf("when Flush returned %v were sent", got)
		}
		s := o.Stats()
		balanced(t, s, outlet.Count{Items: 17, Bytes: 19})
		push(o, 200, 1)
		_ = g.Close(t.Context())
		if got := r.ids(); len(got) != 13 || got[12] != 200 {
			t.Errorf("noted again: %v", got)
		}
	})
}

func TestWhatGoesWrongIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{do: down}
		o, g := open(r, nil)
		says := func(when string, want string) {
			t.Helper()
			synctest.Wait()
			got := ""
			for _, one := range r.heard() {
				got += fmt.Sprint(one.Err, " ", one.Again, " ", one.Lost, ";")
			}
			if got != want {
				t.Errorf("%s: told %q, want %q", when, got, want)
			}
		}
		push(o, 0, 1)
		time.Sleep(time.Hour)
		says("an hour of outage", "backend unavailable: refused true 0;")
		push(o, 1, 120)
		time.Sleep(time.Hour)
		says("an hour of losses", "backend unavailable: refused true 21;")
		push(o, 1, 10)
		time.Sleep(time.Hour)
		says("another hour of losses", "")
		r.becomes(nil)
		time.Sleep(time.Hour)
		says("well again, when the losses are known", "the queue is full false 10;")
		r.becomes(down)
		push(o, 0, 1)
		time.Sleep(time.Hour)
		says("the next outage", "backend unavailable: refused true 0;")
		push(o, 1, 120)
		time.Sleep(time.Hour)
		says("and its losses", "backend unavailable: refused true 21;")
		r.becomes(nil)
		time.Sleep(time.Hour)
		says("well again", "the queue is full false 0;")
		for range 30 {
			push(o, 0, 10)
			r.becomes(func(context.Context, []item) outlet.Result { return outlet.Result{Failed: 1, Why: errors.New("bad")} })
			time.Sleep(500 * time.Millisecond)
		}
		r.becomes(nil)
		time.Sleep(time.Minute)
		if told := r.heard(); len(told) == 0 || len(told) > 3 {
			t.Errorf("told %d times in 15 s: %v", len(told), told)
		}
		r.becomes(down)
		push(o, 0, 1)
		time.Sleep(time.Hour) // else Close may come before the attempt
		if told := r.heard(); len(told) != 1 || !told[0].Again {
			t.Errorf("told %v, want one outage", told)
		}
		if err := g.Close(canceled()); err == nil {
			t.Error("Close did not say what was lost")
		}
		says("Close", "")
	})
}

func TestCloseSaysWhatItCouldNotSend(t *testing.T) {
	for name, c := range map[string]struct {
		do      func(hung chan struct{}) func(ctx context.Context, b []item) outlet.Result
		err     error
		took    time.Duration
		stalled bool
		last    string
	}{
		"well": {func(chan struct{}) func(context.Context, []item) outlet.Result { return nil }, nil, 0, false, ""},
		"down": {func(chan struct{}) func(context.Context, []item) outlet.Result { return down }, fault.Dropped, 2 * time.Second, false, "refused"},
		"first down, then slow": {func(chan struct{}) func(context.Context, []item) outlet.Result {
			n := 0
			return func(ctx context.Context, b []item) outlet.Result {
				if n++; n == 1 {
					return down(ctx, b)
				}
				<-ctx.Done()
				return outlet.Result{Err: ctx.Err()}
			}
		}, fault.Dropped, 2 * time.Second, false, "refused"},
		"slow, with a context": {func(chan struct{}) func(context.Context, []item) outlet.Result {
			return func(ctx context.Context, _ []item) outlet.Result { <-ctx.Done(); return outlet.Result{Err: ctx.Err()} }
		}, fault.Dropped, 2 * time.Second, false, "canceled"},
		"deaf to its context": {func(hung chan struct{}) func(context.Context, []item) outlet.Result {
			return func(_ context.Context, b []item) outlet.Result { <-hung; return outlet.Result{Sent: len(b)} }
		}, fault.Timeout, 3 * time.Second, true, "stalled"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hung := make(chan struct{})
				r := &receiver{do: c.do(hung)}
				o, g := open(r, nil)
				push(o, 0, 35)
				time.Sleep(time.Millisecond)
				var flushed sync.WaitGroup
				flushed.Go(func() { // what Close gives up is not waited for
					err := g.Flush(context.Background())
					if !errors.Is(err, c.err) {
						t.Errorf("Flush: %v, want %v", err, c.err)
					}
				})
				synctest.Wait()
				began := time.Now()
				var errs [4]error
				var all sync.WaitGroup
				for i := range errs {
					all.Go(func() {
						ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
						defer cancel()
						errs[i] = g.Close(ctx)
					})
				}
				all.Wait()
				took := time.Since(began)
				for _, err := range errs {
					if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), "35 things; test/x: 35 (") {
						t.Errorf("Close: %v, want %v", err, c.err)
					}
				}
				if took != c.took {
					t.Errorf("Close took %v, want %v", took, c.took)
				}
				if open := r.closes() == 0; open != c.stalled {
					t.Errorf("the driver was closed %d times while it still writes: %v", r.closes(), c.stalled)
				}
				if s := o.Stats(); !strings.Contains(s.LastError, c.last) || c.last == "" && s.LastError != "" {
					t.Errorf("the last error is %q, want %q", s.LastError, c.last)
				}
				flushed.Wait()
				o.Push(99, 1, false)
				close(hung)
				synctest.Wait()
				s := o.Stats()
				balanced(t, s, outlet.Count{Items: 36, Bytes: 36})
				if r.closes() != 1 || s.Closed.Items != 1 || s.Unsent.Items != 0 != (c.err != nil) || s.Queued.Items != 0 {
					t.Errorf("closed %d times, %+v", r.closes(), s)
				}
				if err := g.Flush(t.Context()); !errors.Is(err, fault.Closed) {
					t.Errorf("Flush after Close: %v", err)
				}
			})
		})
	}
}

// Flush says once what was lost; Close does not say it again.
func TestLossesAreSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		r := &receiver{}
		r.do = func(_ context.Context, b []item) outlet.Result {
			if n++; n == 1 {
				return outlet.Result{Sent: 2, Refused: 3, Failed: 4, Why: errors.New("too old")}
			}
			return outlet.Result{Sent: len(b)}
		}
		o, g := open(r, nil)
		push(o, 0, 10)
		if err := g.Flush(t.Context()); !errors.Is(err, fault.Dropped) || !strings.Contains(err.Error(), "test: flush: dropped: 7 things; test/x: 7 (too old)") {
			t.Errorf("Flush: %v", err)
		}
		for range 2 {
			if err := g.Flush(t.Context()); err != nil {
				t.Errorf("Flush again: %v", err)
			}
		}
		push(o, 10, 1)
		if err := g.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if s := o.Stats(); s.Sent.Items != 4 || s.Refused.Items != 3 || s.Failed.Items != 4 || s.Batches != 3 || s.Errors != 1 {
			t.Errorf("%+v", s)
		}
		if got := fmt.Sprint(r.ids()); got != "[0 1 9 10]" {
			t.Errorf("sent %s", got)
		}
	})
}

// A driver that takes nothing and has no error is not called in a tight loop.
func TestNothingWithoutAnErrorIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{do: func(context.Context, []item) outlet.Result { return outlet.Result{Sent: -1, Refused: -7} }}
		o, g := open(r, nil)
		push(o, 0, 10)
		time.Sleep(time.Second)
		if n := r.attempts(); n < 2 || n > 11 {
			t.Errorf("%d attempts in a second", n)
		}
		r.becomes(func(context.Context, []item) outlet.Result { return outlet.Result{Sent: 1000} })
		time.Sleep(time.Minute)
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		balanced(t, o.Stats(), outlet.Count{Items: 10, Bytes: 10})
	})
}

func TestAPanicIsAnError(t *testing.T) {
	n, err := outlet.Try(func() (int, error) { panic("oops") })
	if n != 0 || !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "oops") {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := outlet.Try(func() (int, error) { return 3, nil }); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// Close sends a note of losses that has nothing behind it, and cuts a pause short.
func TestCloseIsInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{do: down}
		o, g := open(r, func(c *outlet.Config[int, []item]) {
			c.Note = func(lost outlet.Count) ([]item, int) { return []item{{id: -int(lost.Items), bytes: 1}}, 1 }
		})
		push(o, 0, 10)
		time.Sleep(time.Minute)
		push(o, 10, 97)
		time.Sleep(time.Second)
		for before := r.attempts(); r.attempts() == before; { // a pause of seconds begins
			time.Sleep(time.Millisecond)
		}
		r.becomes(nil)
		began := time.Now()
		err := g.Close(t.Context())
		if took := time.Since(began); took > 0 || !errors.Is(err, fault.Dropped) {
			t.Errorf("Close took %v: %v", took, err)
		}
		if got := r.ids(); len(got) != 101 || !slices.Contains(got, -7) {
			t.Errorf("sent %v", got)
		}
		balanced(t, o.Stats(), outlet.Count{Items: 108, Bytes: 108})
	})
}

func TestTheLastLossIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{do: func(_ context.Context, b []item) outlet.Result {
			if b[0].id < 0 {
				return outlet.Result{Sent: len(b)}
			}
			return outlet.Result{Refused: len(b), Why: errors.New("too old")}
		}}
		o, g := open(r, func(c *outlet.Config[int, []item]) {
			c.Note = func(lost outlet.Count) ([]item, int) { return []item{{id: -int(lost.Items), bytes: 1}}, 1 }
		})
		push(o, 0, 5)
		_ = g.Close(t.Context())
		if got := fmt.Sprint(r.ids()); got != "[-5]" {
			t.Errorf("sent %s", got)
		}
	})
}

// A Flush or a Close without time says so, and of each outlet only what it lost.
func TestWithoutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := &receiver{}, &receiver{}
		a, g := open(one, nil)
		b, other := open(two, func(c *outlet.Config[int, []item]) { c.Name = "test/y" })
		g.Members = append(g.Members, other.Members...)
		synctest.Wait()
		one.becomes(func(_ context.Context, b []item) outlet.Result {
			time.Sleep(time.Second) // longer than the Flush that follows, whoever runs first
			return outlet.Result{Sent: len(b)}
		})
		push(a, 0, 1)
		if err := g.Flush(canceled()); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "test/x: flush") {
			t.Errorf("Flush: %v", err)
		}
		_ = g.Flush(t.Context())
		two.becomes(down)
		push(b, 0, 12)
		time.Sleep(time.Millisecond)
		_ = g.Close(canceled())
		if s := b.Stats(); s.Unsent.Items != 12 {
			t.Errorf("%+v", s)
		}
		if err := g.Close(t.Context()); !errors.Is(err, fault.Dropped) || strings.Contains(err.Error(), "test/x") || !strings.Contains(err.Error(), "12 things; test/y: 12 (backend") {
			t.Errorf("Close: %v", err)
		}
	})
}

// Without a bound on retries a pause that the receiver asks for is kept in full.
func TestAPauseWithoutABoundOnRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.do = func(_ context.Context, b []item) outlet.Result {
			if r.attempts() == 1 {
				return outlet.Result{Err: later{errors.New("busy"), 4 * time.Minute}}
			}
			return outlet.Result{Sent: len(b)}
		}
		o, g := open(r, nil)
		push(o, 0, 10)
		time.Sleep(10 * time.Minute)
		if calls := r.times(); len(calls) != 2 || calls[1].Sub(calls[0]) != 4*time.Minute {
			t.Errorf("attempts at %v", calls)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What had no attempt at all has a reason too.
func TestNoTimeWasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{do: func(ctx context.Context, b []item) outlet.Result { <-ctx.Done(); return outlet.Result{Sent: len(b)} }}
		o, g := open(r, nil)
		push(o, 0, 13)
		synctest.Wait()
		err := g.Close(canceled())
		if s := o.Stats(); s.Sent.Items != 10 || s.Unsent.Items != 3 || !strings.Contains(err.Error(), "3 (no time was left)") {
			t.Errorf("%v: %+v", err, s)
		}
	})
}

// A driver that Close has given up is closed when its Send returns, on a goroutine of
// the outlet's own: a panic there would end the process.
func TestAPanicOfADriverThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung, closed := make(chan struct{}), make(chan struct{})
		r := &receiver{do: func(_ context.Context, b []item) outlet.Result { <-hung; return outlet.Result{Sent: len(b)} }}
		o, g := open(r, func(c *outlet.Config[int, []item]) {
			c.Close = func() error { close(closed); panic("no way") }
		})
		o.Push(1, 1, true)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := g.Close(ctx)
		if !errors.Is(err, fault.Timeout) {
			t.Errorf("Close: %v, want that it is stalled", err)
		}
		close(hung)
		<-closed
		synctest.Wait()
	})
}
