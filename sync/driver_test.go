package sync

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// told is a driver over memory of which a test does some parts itself.
type told struct {
	scripted
	features Features
	asked    []Request
	list     func(ctx context.Context, prefix string, yield func(string, Hold) bool) error
}

func (d *told) Features() Features { return d.features }

func (d *told) Claim(r Request) Claim {
	d.asked = append(d.asked, r)
	return d.scripted.Claim(r)
}

func (d *told) List(ctx context.Context, prefix string, yield func(string, Hold) bool) error {
	return d.list(ctx, prefix, yield)
}

func (d *told) open(t *testing.T, opts ...Option) Sync {
	t.Helper()
	s, err := New(append(opts, WithAround(func(inner Driver) Driver { d.Driver = inner; return d }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// What a driver is asked for, by what was asked and what it can do.
func TestRequestsToADriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			features  Features
			ttl, want time.Duration
		}{
			{Features{}, 1500 * time.Millisecond, 1500 * time.Millisecond},
			{Features{MinTTL: 2 * time.Second}, 1500 * time.Millisecond, 2 * time.Second},
			{Features{MinTTL: 2 * time.Second}, 2500 * time.Millisecond, 2500 * time.Millisecond},
			{Features{TTLStep: time.Second}, time.Second, time.Second},
			{Features{TTLStep: time.Second}, time.Second + 1, 2 * time.Second},
			{Features{TTLStep: time.Second, MinTTL: 5 * time.Second}, time.Second, 5 * time.Second},
		} {
			c.features.Limits = true
			d := &told{features: c.features}
			s := d.open(t, WithDefaults(TTL(c.ttl)))
			if _, err := s.Lock(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Semaphore(t.Context(), "x", 1); err != nil {
				t.Fatal(err)
			}
			l, err := s.Leader("x")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Elect(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i, r := range d.asked {
				if r.TTL != c.want || r.Limit != 1 || r.Watched != (i == 2) {
					t.Errorf("%+v: request %d is %+v, want a TTL of %v", c.features, i, r, c.want)
				}
			}
		}
	})
}

func TestSemaphoresThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		id     string
		limit  int
		limits bool
		want   error
	}{{"x", 1, true, nil}, {"x", 0, true, ErrInvalid}, {"x", -1, true, ErrInvalid}, {"", 1, true, ErrInvalid}, {"x", 1, false, ErrUnsupported}} {
		d := &told{features: Features{Limits: c.limits}}
		if _, err := d.open(t).Semaphore(t.Context(), c.id, c.limit); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%q of %d, limits %t: %v, want %v", c.id, c.limit, c.limits, err, c.want)
		}
	}
}

func TestLimitsOfATTL(t *testing.T) {
	for ttl, ok := range map[time.Duration]bool{-1: false, 0: false, 1: true, 24*time.Hour - 1: true, 24 * time.Hour: true, 24*time.Hour + 1: false} {
		s, err := New(WithDefaults(TTL(ttl)))
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v, want success %t", ttl, err, ok)
		}
		if err == nil {
			s.Close()
		}
	}
}

// Only who waits takes a place again, and only as long as it waits.
func TestWhoTakesALostPlaceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := withScript(t, &scripted{acquire: func(ctx context.Context, _ Claim, _ bool) (Grant, error) {
			if calls++; ctx.Err() != nil {
				t.Error("asked after the end of the wait")
			}
			return Grant{}, ErrLost
		}})
		if _, err := s.TryLock(t.Context(), "x"); !errors.Is(err, ErrLost) || calls != 1 {
			t.Errorf("TryLock = %v after %d tries, want lost after 1", err, calls)
		}
		calls = 0
		if _, err := s.Lock(t.Context(), "x", Wait(time.Minute)); !errors.Is(err, ErrTimeout) || calls < 3 {
			t.Errorf("Lock = %v after %d tries, want a timeout after some", err, calls)
		}
	})
}

// A release that failed goes on in the background, is told once, and is tried
// once more at Close.
func TestAReleaseThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var closing bool
		tries := 0
		m := NewLocks()
		d := &scripted{release: func(ctx context.Context, c Claim) error {
			if tries++; !closing || ctx.Err() != nil {
				return errDown
			}
			return c.Release(ctx)
		}}
		s := withScript(t, d, Memory(m), WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
		l := mustLock(t, s, TTL(time.Hour))
		if err := l.Unlock(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Unlock = %v, want unavailable", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(out.String(), "releasing in the background"); n != 1 || tries < 3 {
			t.Errorf("told %d times of %d tries: %s", n, tries, &out)
		}
		if len(s.(*front).held) != 0 {
			t.Error("it counts as held")
		}
		closing = true
		s.Close()
		other, err := New(Memory(m))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := other.TryLock(t.Context(), "x"); err != nil {
			t.Errorf("after Close: %v", err)
		}
		if len(m.keys) != 1 {
			t.Errorf("%d keys, want one", len(m.keys))
		}
	})
}

// A lock that is lost is released all the same: the backend may not know.
func TestALostLockIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, back := NewLocks(), make(chan struct{})
		s := withScript(t, &scripted{
			renew: func(ctx context.Context, _ Claim) (time.Time, error) { <-back; return time.Time{}, errDown }, // it hangs, whatever its context says
		}, Memory(m))
		start := time.Now()
		l := mustLock(t, s, TTL(10*time.Second))
		<-l.Context().Done()
		if d := time.Since(start); d != 8*time.Second {
			t.Errorf("over after %v, want 8 s: a renewal that hangs does not hold it up", d)
		}
		other, err := New(Memory(m))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		close(back)
		synctest.Wait()
		if n := len(s.(*front).held); n != 0 {
			t.Errorf("%d are held after the loss", n)
		}
		if _, err := other.TryLock(t.Context(), "x"); err != nil || time.Since(start) != 8*time.Second {
			t.Errorf("TryLock before the TTL's end: %v", err)
		}
	})
}

func TestALeaderThatClosesSaysWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ release, want error }{{nil, nil}, {ErrLost, nil}, {errDown, ErrUnavailable}} {
			first := true
			s := withScript(t, &scripted{release: func(ctx context.Context, claim Claim) error {
				if first && c.release != nil {
					first = false
					return c.release
				}
				return claim.Release(ctx)
			}})
			x, err := s.Leader("x")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.Elect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := x.Close(); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("a release of %v: Close = %v, want %v", c.release, err, c.want)
			}
			synctest.Wait()
			if n := len(x.(*leader).terms); n != 0 || x.Status() != StatusFollower {
				t.Errorf("%d terms are kept, status %s", n, x.Status())
			}
		}
	})
}

func TestListOfADriver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := &told{}
	s := d.open(t)
	const prefix = "sync/default/"
	for name, c := range map[string]struct {
		list func(ctx context.Context, yield func(string, Hold) bool) error
		ids  string
		want error
		not  error
	}{
		"two": {func(_ context.Context, yield func(string, Hold) bool) error {
			yield(prefix+"lock/b", Hold{Waiting: true})
			yield(prefix+"lock/a%2Fb", Hold{})
			return nil
		}, "a/b b ", nil, nil},
		"none of ours": {func(_ context.Context, yield func(string, Hold) bool) error {
			for _, key := range []string{"other/lock/x", "lock/x", prefix + "lock", prefix + "thing/x", prefix + "lock/%zz", "x" + prefix + "lock/x"} {
				yield(key, Hold{})
			}
			return nil
		}, "", nil, nil},
		"denied":    {func(context.Context, func(string, Hold) bool) error { return ErrDenied }, "", ErrDenied, ErrUnavailable},
		"no answer": {func(context.Context, func(string, Hold) bool) error { return context.DeadlineExceeded }, "", ErrUnavailable, nil},
		"given up, and answered": {func(_ context.Context, yield func(string, Hold) bool) error {
			yield(prefix+"lock/a", Hold{})
			cancel()
			return nil
		}, "a ", nil, nil},
	} {
		d.list = func(ctx context.Context, p string, yield func(string, Hold) bool) error {
			if p != prefix {
				t.Errorf("prefix %q", p)
			}
			return c.list(ctx, yield)
		}
		on := t.Context()
		if strings.HasPrefix(name, "given up") {
			on = ctx
		}
		ids := ""
		var err error
		for h, e := range s.List(on) {
			if err = e; e == nil {
				ids += h.ID + " "
			}
		}
		if ids != c.ids || !errors.Is(err, c.want) || c.want == nil && err != nil || c.not != nil && errors.Is(err, c.not) {
			t.Errorf("%s: %q, %v, want %q, %v", name, ids, err, c.ids, c.want)
		}
	}
	var before error
	for _, err := range s.List(ctx) {
		before = err
	}
	if !errors.Is(before, context.Canceled) {
		t.Errorf("given up before: %v, want Canceled", before)
	}
}

func TestOrderOfHolds(t *testing.T) {
	now := time.Now()
	inOrder := []Hold{
		{Kind: KindLeader, ID: "z", Waiting: true, Since: now}, {Kind: KindLock, ID: "a", Since: now.Add(1)}, {Kind: KindLock, ID: "a", Since: now.Add(2)},
		{Kind: KindLock, ID: "a", Waiting: true, Since: now}, {Kind: KindLock, ID: "a", Waiting: true, Since: now.Add(1)}, {Kind: KindLock, ID: "b", Since: now}, {Kind: KindSemaphore, ID: "a", Since: now},
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got := compareHolds(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%+v and %+v: %d", a, b, got)
			}
		}
	}
}

// Release is done once, and who waits for another's does so within its context.
func TestReleaseOfAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for name, c := range map[string]struct {
			answers []error
			want    []error
			calls   int
		}{
			"done":                         {[]error{nil}, []error{nil, nil}, 1},
			"lost":                         {[]error{ErrLost}, []error{ErrLost, ErrLost}, 1},
			"unavailable, then done":       {[]error{errDown, nil}, []error{errDown, nil, nil}, 2},
			"unavailable, then lost":       {[]error{errDown, ErrLost}, []error{errDown, ErrLost, ErrLost}, 2},
			"unknown, then lost: it was":   {[]error{ErrUnknownOutcome, ErrLost}, []error{ErrUnknownOutcome, nil, nil}, 2},
			"no answer, then lost: it was": {[]error{context.DeadlineExceeded, ErrLost}, []error{ErrUnknownOutcome, nil, nil}, 2},
		} {
			calls := 0
			o := newOnce(releasing(func(ctx context.Context) error {
				err := c.answers[min(calls, len(c.answers)-1)]
				if calls++; errors.Is(err, context.DeadlineExceeded) {
					<-ctx.Done()
					return ctx.Err()
				}
				return err
			}), time.Second)
			if err := o.Release(ended); !errors.Is(err, context.Canceled) || calls != 0 {
				t.Errorf("%s: given up before: %v after %d calls", name, err, calls)
			}
			for i, want := range c.want {
				if err := o.Release(t.Context()); !errors.Is(err, want) || want == nil && err != nil {
					t.Errorf("%s, release %d: %v, want %v", name, i, err, want)
				}
			}
			if calls != c.calls {
				t.Errorf("%s: %d calls, want %d", name, calls, c.calls)
			}
		}
		// The caller's own end is no unknown outcome of a timeout.
		for _, c := range []struct {
			err error
			own bool
		}{{context.DeadlineExceeded, true}, {context.Canceled, false}} {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			o := newOnce(releasing(func(limited context.Context) error {
				if c.own {
					<-limited.Done()
				}
				return c.err
			}), time.Second)
			if err := o.Release(ctx); !errors.Is(err, c.err) || errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("%v, own %t: %v", c.err, c.own, err)
			}
			cancel()
		}
		busy := make(chan struct{})
		o := newOnce(releasing(func(context.Context) error { <-busy; return nil }), time.Hour)
		go o.Release(t.Context())
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.Release(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while another releases: %v, want the deadline", err)
		}
		close(busy)
		synctest.Wait()
	})
}

// releasing is a claim that is only released.
type releasing func(context.Context) error

func (releasing) Acquire(context.Context, bool) (Grant, error) { return Grant{}, ErrUnsupported }
func (releasing) Renew(context.Context) (time.Time, error)     { return time.Time{}, ErrUnsupported }
func (r releasing) Release(ctx context.Context) error          { return r(ctx) }

func TestMemoryKeepsNothingOfWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewLocks()
		d := memoryDriver{m}
		claim := func() *memoryClaim { return d.Claim(Request{Key: "x", Limit: 1, TTL: time.Second}).(*memoryClaim) }
		c := claim()
		if _, err := c.Acquire(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		c.expire() // its timer fired while a renewal was running
		if _, err := c.Renew(t.Context()); err != nil {
			t.Errorf("Renew: %v", err)
		}
		time.Sleep(time.Second - 1)
		if got, err := d.Holder(t.Context(), "x"); err != nil || got.Token == 0 {
			t.Errorf("before its end: %v, %v", got, err)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if _, err := c.Renew(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Renew after its end: %v, want lost", err)
		}
		if err := c.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release after its end: %v, want lost", err)
		}
		c = claim()
		if _, err := c.Acquire(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := c.Renew(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Renew after Release: %v, want lost", err)
		}
		time.Sleep(time.Second)
		c.expire()
		if err := c.Release(t.Context()); err != nil {
			t.Errorf("Release again: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go d.Watch(ctx, "y", func(Candidate) {})
		synctest.Wait()
		if len(m.keys) != 1 {
			t.Errorf("%d keys while one is watched, want 1", len(m.keys))
		}
		cancel()
		synctest.Wait()
		if len(m.keys) != 0 {
			t.Errorf("%d keys are kept: %v", len(m.keys), m.keys)
		}
	})
}
