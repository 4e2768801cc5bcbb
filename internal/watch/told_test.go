package watch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/watch"
)

// What watchers are told when sessions end, and how long the next one waits: a first gap is
// nobody's failure and costs no time, a second one without progress does.
func TestWhatIsToldOfSessions(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		ends     []error // of the sessions, one after the other
		progress int     // the session that makes some; 0: none
		told     string
		waits    time.Duration
	}{
		"in good order":         {[]error{nil}, 0, "", time.Second},
		"a failure":             {[]error{boom}, 0, "boom", time.Second},
		"a panic":               {[]error{errPanic}, 0, "panic", time.Second},
		"two failures":          {[]error{boom, boom}, 0, "boom boom", 3 * time.Second},
		"with progress":         {[]error{boom, boom}, 2, "boom boom", 2 * time.Second},
		"a gap":                 {[]error{watch.ErrGap}, 0, "", 0},
		"a gap, and a failure":  {[]error{watch.ErrGap, boom}, 0, "boom", time.Second},
		"two gaps":              {[]error{watch.ErrGap, watch.ErrGap}, 0, "gap", time.Second},
		"three gaps":            {[]error{watch.ErrGap, watch.ErrGap, watch.ErrGap}, 0, "gap gap", 3 * time.Second},
		"two gaps with some":    {[]error{watch.ErrGap, watch.ErrGap}, 2, "", 0},
		"a gap that is wrapped": {[]error{fmt.Errorf("compacted: %w", watch.ErrGap)}, 0, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var told []string
			o := watch.Options{
				Backoff: backoff.Policy{Min: time.Second, Max: time.Hour}, // of which the first wait is exact
				OnError: func(err error) {
					text := "boom"
					switch {
					case errors.Is(err, watch.ErrGap):
						text = "gap"
					case !errors.Is(err, boom):
						text = "panic"
					}
					told = append(told, text)
				},
			}
			n, began := 0, time.Now()
			var took time.Duration
			err := watch.Follow(ctx, o, func(_ context.Context, _ int, progress func(int)) error {
				if n++; n > len(c.ends) {
					took = time.Since(began)
					cancel()
					return errors.New("of a session that was ended")
				}
				if n == c.progress {
					progress(n)
				}
				if errors.Is(c.ends[n-1], errPanic) {
					panic("boom")
				}
				return c.ends[n-1]
			})
			least := c.waits
			if c.waits > time.Second && c.progress == 0 {
				least = 2 * time.Second // the second wait has jitter
			}
			if took < least || took > c.waits {
				t.Errorf("%s: waited %v, want %v to %v", name, took, least, c.waits)
			}
			if got := strings.Join(told, " "); got != c.told || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: told %q, want %q; %v", name, got, c.told, err)
			}
		})
	}
}

var errPanic = errors.New("it panics")

// The end of the context ends a wait, after which no session begins.
func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n, began := 0, time.Now()
		o := watch.Options{Backoff: backoff.Policy{Min: time.Hour, Max: time.Hour}}
		err := watch.Follow(ctx, o, func(context.Context, int, func(int)) error { n++; return errors.New("boom") })
		if n != 1 || time.Since(began) != time.Minute || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d sessions, %v after %v", n, err, time.Since(began))
		}
	})
}
