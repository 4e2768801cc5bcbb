package fronts

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

func TestLateIsTheFrontsOwnDeadlineAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Minute
		bare := func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }
		after := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
			return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
		}
		for name, c := range map[string]struct {
			caller, inner func(context.Context) (context.Context, context.CancelFunc)
			err           error // what the driver says; nil: what its context does
			want          error
		}{
			"own deadline":                  {bare, bare, nil, fault.Unavailable},
			"own, and a later one below":    {bare, after(time.Hour), nil, fault.Unavailable},
			"a driver that is early":        {bare, bare, context.DeadlineExceeded, fault.Unavailable},
			"an outcome that is not known":  {bare, bare, fault.Mark(fault.UnknownOutcome, context.DeadlineExceeded), fault.UnknownOutcome},
			"not there":                     {bare, bare, fault.NotFound, fault.NotFound},
			"the caller's deadline":         {after(time.Second), bare, nil, context.DeadlineExceeded},
			"the caller's, and a later one": {after(time.Hour), bare, nil, context.DeadlineExceeded},
			"the caller's, and early":       {after(time.Hour), bare, context.DeadlineExceeded, context.DeadlineExceeded},
			"a deadline made inside":        {bare, after(time.Second), nil, context.DeadlineExceeded},
		} {
			caller, end := c.caller(t.Context())
			ctx, limit, cancel := Limited(caller, timeout)
			inner, stop := c.inner(ctx)
			err := c.err
			if err == nil {
				<-inner.Done()
				err = inner.Err()
			}
			got := limit.Late(inner, err)
			if fault.KindOf(got) != c.want || !errors.Is(got, err) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
			if late := limit.Late(inner, nil); late != nil {
				t.Errorf("%s: of nil %v", name, late)
			}
			stop()
			cancel()
			end()
		}
		caller, end := context.WithCancel(t.Context())
		ctx, limit, cancel := Limited(caller, timeout)
		defer cancel()
		<-ctx.Done() // and then the caller gives up as well
		end()
		if err := limit.Late(ctx, ctx.Err()); fault.KindOf(err) != context.DeadlineExceeded {
			t.Errorf("the caller has given up: %v", err)
		}
	})
}
