package event

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/seldom"
)

// caught is a member whose panics are errors: the goroutines of a subscription call
// it, and nobody is above them.
type caught struct{ Member }

func (c caught) Fetch(ctx context.Context, max int) (ds []Delivered, err error) {
	err = fault.Guard(func() (err error) { ds, err = c.Member.Fetch(ctx, max); return err })
	return ds, err
}

func (c caught) Ack(ctx context.Context, ds []Delivered) error {
	return fault.Guard(func() error { return c.Member.Ack(ctx, ds) })
}

func (c caught) Extend(ctx context.Context, ds []Delivered) error {
	return fault.Guard(func() error { return c.Member.Extend(ctx, ds) })
}

func (c caught) Release(ctx context.Context, ds []Delivered) error {
	return fault.Guard(func() error { return c.Member.Release(ctx, ds) })
}

func (c caught) Close(ctx context.Context) error {
	return fault.Guard(func() error { return c.Member.Close(ctx) })
}

// caughtKey guards the user's key function. A record for which it panics is handed out
// all the same, in order with others like it.
func (f *front) caughtKey(o *subscribeOptions) {
	key := o.key
	if key == nil {
		return
	}
	var lines seldom.Gate
	o.key = func(r *Record) (k string) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if pass, dropped := lines.Pass("key", time.Now()); pass {
				f.o.settings.Logger.Error("event: the function of Ordered panicked", "group", o.group, "record", r.ID, "panic", fmt.Sprint(p), "dropped", dropped)
			}
		}()
		return key(r)
	}
}
