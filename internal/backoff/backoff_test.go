package backoff_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/backoff"
)

func TestWaitStaysInItsBounds(t *testing.T) {
	p := backoff.Policy{Min: 10 * time.Millisecond, Max: time.Second}
	for n := range 100 {
		ceiling := time.Second
		if n < 7 {
			ceiling = 10 * time.Millisecond << n
		}
		for range 50 {
			if d := p.Wait(n); d < p.Min || d > ceiling {
				t.Fatalf("Wait(%d) = %v, want within [%v, %v]", n, d, p.Min, ceiling)
			}
		}
	}
	if d := (backoff.Policy{Min: time.Second, Max: time.Millisecond}).Wait(3); d != time.Second {
		t.Errorf("Max below Min: got %v, want Min", d)
	}
}

func TestWaitIsJittered(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[backoff.Policy{}.Wait(10)] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different waits of 100, want most of them to differ", len(seen))
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := backoff.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sleep = %v, want deadline exceeded", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("slept %v, want 1s", d)
		}
		if err := backoff.Sleep(t.Context(), time.Minute); err != nil {
			t.Errorf("Sleep = %v, want nil", err)
		}
	})
}

// Every wait between the floor and the ceiling comes, and no other.
func TestWaitsAreAllThatMayBe(t *testing.T) {
	const hour = time.Hour
	for _, c := range []struct {
		p        backoff.Policy
		n        int
		from, to time.Duration
	}{
		{backoff.Policy{Min: 1, Max: 3}, 0, 1, 1}, {backoff.Policy{Min: 1, Max: 3}, 1, 1, 2}, {backoff.Policy{Min: 1, Max: 3}, 2, 1, 3},
		{backoff.Policy{Min: 1, Max: 4}, 2, 1, 4}, {backoff.Policy{Min: 1, Max: 4}, 3, 1, 4}, {backoff.Policy{Min: 1, Max: 3}, 62, 1, 3},
		{backoff.Policy{Min: 1, Max: 3}, 63, 1, 3}, {backoff.Policy{Min: 1, Max: 3}, 64, 1, 3}, {backoff.Policy{Min: 1, Max: 3}, 1000, 1, 3},
		{backoff.Policy{Min: hour, Max: hour + 2}, 0, hour, hour}, {backoff.Policy{Min: hour, Max: hour + 2}, 1, hour, hour + 2},
		{backoff.Policy{Min: hour, Max: hour + 2}, 22, hour, hour + 2}, {backoff.Policy{Min: hour, Max: hour + 2}, 31, hour, hour + 2}, // where an hour's shift is beyond a Duration
		{backoff.Policy{Min: hour, Max: hour}, 5, hour, hour}, {backoff.Policy{Min: hour, Max: 1}, 5, hour, hour},
		{backoff.Policy{}, 0, 50 * time.Millisecond, 50 * time.Millisecond}, {backoff.Policy{Min: -1, Max: -1}, 0, 50 * time.Millisecond, 50 * time.Millisecond},
		{backoff.Policy{Max: 50*time.Millisecond + 1}, 9, 50 * time.Millisecond, 50*time.Millisecond + 1},
		{backoff.Policy{Min: 5*time.Second - 1}, 9, 5*time.Second - 1, 5 * time.Second},
	} {
		seen := map[time.Duration]bool{}
		for range 300 {
			seen[c.p.Wait(c.n)] = true
		}
		for d := range seen {
			if d < c.from || d > c.to {
				t.Errorf("%+v, %d failures: %v, want %v to %v", c.p, c.n, d, c.from, c.to)
			}
		}
		if len(seen) != int(c.to-c.from)+1 {
			t.Errorf("%+v, %d failures: %d different waits, want %d", c.p, c.n, len(seen), c.to-c.from+1)
		}
	}
}

// A context that has ended is said, also where there is nothing to wait for.
func TestSleepAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := backoff.Sleep(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if err := backoff.Sleep(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
