package watch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/watch"
)

func TestFollowResumesFromItsCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var froms []int
		boom := errors.New("boom")
		err := watch.Follow(ctx, watch.Options{}, func(_ context.Context, from int, progress func(int)) error {
			froms = append(froms, from)
			switch len(froms) {
			case 1:
				progress(3)
				progress(7)
				return boom
			case 2:
				return boom // no progress: resumed from the same place
			case 3:
				return watch.ErrGap
			}
			cancel()
			return boom
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Follow = %v, want canceled", err)
		}
		want := []int{0, 7, 7, 0}
		if len(froms) != len(want) {
			t.Fatalf("sessions began at %v, want %v", froms, want)
		}
		for i := range want {
			if froms[i] != want[i] {
				t.Fatalf("sessions began at %v, want %v", froms, want)
			}
		}
	})
}

func TestFollowIsPatientWithADeadBackend(t *testing.T) {
	for name, failure := range map[string]error{"error": errors.New("refused"), "gap": watch.ErrGap, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var sessions int
				o := watch.Options{Backoff: backoff.Policy{Min: 100 * time.Millisecond, Max: 5 * time.Second}}
				watch.Follow(ctx, o, func(context.Context, int, func(int)) error { sessions++; return failure })
				if sessions < 5 || sessions > 100 {
					t.Errorf("%d sessions in a minute, want a few", sessions)
				}
			})
		})
	}
}

// TestFollowComesBackSoonAfterProgress: failures before it count no more.
func TestFollowComesBackSoonAfterProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := watch.Options{Backoff: backoff.Policy{Min: 100 * time.Millisecond, Max: time.Hour}}
		sessions, waited := 0, time.Duration(0)
		var last time.Time
		watch.Follow(ctx, o, func(_ context.Context, _ int, progress func(int)) error {
			sessions++
			switch {
			case sessions == 20: // after long waits
				progress(1)
			case sessions == 21:
				waited = time.Since(last)
				cancel()
			}
			last = time.Now()
			return errors.New("refused")
		})
		if waited != o.Backoff.Min {
			t.Errorf("waited %v after progress, want %v as after a first failure", waited, o.Backoff.Min)
		}
	})
}

func TestCoalesceKeepsTheNewest(t *testing.T) {
	c := watch.NewCoalesce[int]()
	for i := range 1000 {
		c.Push(i)
	}
	if got := <-c.C(); got != 999 {
		t.Errorf("got %d, want 999", got)
	}
	select {
	case v := <-c.C():
		t.Errorf("delivered twice: %d", v)
	default:
	}
}
