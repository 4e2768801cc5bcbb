package chaos

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/event"
)

// insist repeats a call until it succeeds, and reports whether it did at once.
func insist(stop <-chan struct{}, call func(context.Context) error) (atOnce, done bool) {
	for atOnce = true; ; atOnce = false {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := call(ctx)
		cancel()
		if err == nil {
			return atOnce, true
		}
		if errors.Is(err, event.ErrNotFound) {
			return atOnce, false
		}
		select {
		case <-stop:
			return false, false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// maxBehind is how many records may be unhandled before nobody publishes more. A run is about
// what is lost and what comes twice while things fail, not about whether publishing is quicker
// than handling.
const maxBehind = 2000

var errBehind = errors.New("the group is behind")

// catchUp waits until a group is not too far behind.
func catchUp(stop <-chan struct{}, s event.Stream, group string) {
	insist(stop, func(ctx context.Context) error {
		groups, err := s.Groups(ctx)
		for _, g := range groups {
			if g.Name == group && g.Lag.Pending+g.Lag.Behind > maxBehind {
				return errBehind
			}
		}
		return err
	})
}
