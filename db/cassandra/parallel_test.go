package cassandra

import (
	"context"
	"errors"
	"testing"
)

// What ends a context may have a cause of the caller's own. The error is the context's
// all the same, by which it is known for what it is.
func TestAParallelCallSaysThatItsContextHasEnded(t *testing.T) {
	own, failed := errors.New("own"), errors.New("failed")
	for name, c := range map[string]struct {
		ended bool
		err   error // of one of the calls
		want  error
	}{
		"all is well":       {false, nil, nil},
		"one fails":         {false, failed, failed},
		"the context ended": {true, nil, context.Canceled},
	} {
		for _, n := range []int{2, atOnce + 1} {
			ctx, cancel := context.WithCancelCause(t.Context())
			if c.ended {
				cancel(own)
			}
			err := parallel(ctx, n, func(_ context.Context, i int) error {
				if i == n-1 {
					return c.err
				}
				return nil
			})
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%s, of %d calls: %v, want %v", name, n, err, c.want)
			}
			cancel(nil)
		}
	}
}
