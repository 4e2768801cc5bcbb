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
