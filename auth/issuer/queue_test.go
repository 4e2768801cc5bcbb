package issuer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// line is a queue with one place, which is taken, and what became of those who
// waited for it.
type line struct {
	*queue
	mu     sync.Mutex
	served []string
	errs   map[string]error
}

func newLine(t *testing.T) *line {
	l := &line{queue: newQueue(1), errs: map[string]error{}}
	if err := l.enter(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	return l
}

// wait has somebody wait, and returns when it does.
func (l *line) wait(ctx context.Context, source, name string) {
	go func() {
		err := l.enter(ctx, source)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.errs[name] = err; err == nil {
			l.served = append(l.served, name)
		}
	}()
	synctest.Wait()
}

// left returns what became of those who no longer wait.
func (l *line) left() map[string]error {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.errs)
}

// drain gives the place on until nobody waits.
func (l *line) drain() []string {
	for l.free == 0 {
		l.leave()
		synctest.Wait()
	}
	return l.served
}

func TestSourcesTakeTurnsAndTheNewestIsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		for n := range 4 {
			l.wait(t.Context(), "flood", fmt.Sprint("flood", n))
		}
		l.wait(t.Context(), "a", "a0")
		l.wait(t.Context(), "b", "b0")
		l.wait(t.Context(), "a", "a1")
		want := []string{"flood3", "a1", "b0", "flood2", "a0", "flood1", "flood0"}
		if got := l.drain(); !slices.Equal(got, want) {
			t.Errorf("served %v, want %v", got, want)
		}
		if len(l.lanes) != 0 || len(l.turns) != 0 || l.waiting != 0 || l.free != 1 {
			t.Errorf("afterwards: lanes %v, turns %v, waiting %d, free %d", l.lanes, l.turns, l.waiting, l.free)
		}
	})
}

func TestWhoLeavesTheQueueCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		ctx, cancel := context.WithCancel(t.Context())
		for n := range 100 {
			l.wait(ctx, fmt.Sprint("s", n%3), fmt.Sprint("gone", n))
		}
		l.wait(t.Context(), "s1", "patient")
		cancel()
		if gone := l.left(); len(gone) != 100 || !errors.Is(gone["gone7"], context.Canceled) {
			t.Errorf("%d left, with %v", len(gone), gone["gone7"])
		}
		if got := l.drain(); !slices.Equal(got, []string{"patient"}) {
			t.Errorf("served %v, want the one who waited", got)
		}
		if err := l.enter(ctx, "s"); !errors.Is(err, context.Canceled) {
			t.Errorf("a free place with an ended context: %v", err)
		}
	})
}

func TestWaitingIsBoundedInNumberAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		l.wait(t.Context(), "a", "a")
		for n := range waitMost - 1 {
			l.wait(t.Context(), "flood", fmt.Sprint(n))
		}
		if gone := l.left(); len(gone) != 0 {
			t.Fatalf("%d waiters: %v", waitMost, gone)
		}
		l.wait(t.Context(), "b", "b") // one more: the flood's oldest has to go
		if gone := l.left(); len(gone) != 1 || !errors.Is(gone["0"], errBusy) {
			t.Errorf("with one too many: %v, want the oldest of the flood refused", gone)
		}
		time.Sleep(waitLongest - time.Second)
		if gone := l.left(); len(gone) != 1 {
			t.Errorf("%d refused before their time", len(gone)-1)
		}
		time.Sleep(time.Second)
		if gone := l.left(); len(gone) != waitMost+1 || !errors.Is(gone["b"], errBusy) || l.waiting != 0 || len(l.turns) != 0 {
			t.Errorf("%d of %d were refused after %s, b with %v", len(gone), waitMost+1, waitLongest, gone["b"])
		}
		if got := l.drain(); len(got) != 0 {
			t.Errorf("served %v after they had left", got)
		}
	})
}

// Whoever leaves in the moment in which its turn comes gives the place on.
func TestNoPlaceIsLost(t *testing.T) {
	q := newQueue(2)
	var wg sync.WaitGroup
	for n := range 500 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if n%2 == 0 {
				go cancel()
			}
			defer cancel()
			if q.enter(ctx, fmt.Sprint(n%7)) == nil {
				q.leave()
			}
		})
	}
	wg.Wait()
	if q.free != 2 || q.waiting != 0 || len(q.turns) != 0 {
		t.Errorf("free %d, waiting %d, turns %v; want 2, 0 and none", q.free, q.waiting, q.turns)
	}
}

func TestAPlaceGivenToOneWhoLeavesGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 { // which of the two is seen first is chance
			l := newLine(t)
			ctx, cancel := context.WithCancel(t.Context())
			l.wait(ctx, "a", "a")
			cancel()
			l.leave()
			if l.left()["a"] == nil {
				l.leave()
			}
			if l.free != 1 {
				t.Fatalf("%d places are free, want 1", l.free)
			}
		}
	})
}

// No place is ever free here: who gives up must get away all the same.
func TestARequestLeavesTheQueueWithItsContext(t *testing.T) {
	var out strings.Builder
	i, err := New(WithHashRounds(1000), WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Create(t.Context(), Account{ID: "orders", Type: Service}, "secret"); err != nil {
		t.Fatal(err)
	}
	i.secrets.places = newQueue(0)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	r := httptest.NewRequestWithContext(ctx, "POST", "/token", strings.NewReader("grant_type=client_credentials&client_id=orders&client_secret=secret"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	if w.Code != 503 || out.Len() > 0 {
		t.Errorf("%d, logged %q; want 503 and nothing", w.Code, out.String())
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := i.Create(ctx, Account{ID: "x", Type: User}, "secret"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Create = %v, want DeadlineExceeded", err)
	}
	if err := i.SetSecret(ctx, "orders", "other"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("SetSecret = %v, want DeadlineExceeded", err)
	}
}

// Whatever strangers cause, the log stays readable, and none of its messages
// hides another.
func TestWarningsAreBounded(t *testing.T) {
	var out strings.Builder
	now := time.Now()
	i, err := New(WithLogger(slog.New(slog.NewTextHandler(&out, nil))), func(i *Issuer) error { i.now = func() time.Time { return now }; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		i.warn("guessed")
	}
	i.warn("used twice")
	if strings.Contains(out.String(), "left_out") {
		t.Errorf("lines that were left out are told before the next one: %s", out.String())
	}
	if lines := strings.Count(out.String(), "\n"); lines != 6 || strings.Count(out.String(), "guessed") != 5 {
		t.Errorf("%d lines for 1000 warnings of one kind and one of another, want 5 and 1:\n%s", lines, out.String())
	}
	now = now.Add(time.Hour)
	i.warn("guessed")
	if !strings.Contains(out.String(), "left_out=995") {
		t.Errorf("an hour later the log does not tell that 995 were left out:\n%s", out.String())
	}
}
