package config

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// guest is code of the user's that takes part in changes: a subscriber, a
// validator, the function of WithOnHealth. Its calls are one at a time: whoever
// makes them sees to that.
type guest struct {
	name    string
	running chan struct{} // closed when the newest call has returned
}

// grace is what a call gets to return in once its context has ended.
const grace = time.Second

// changing marks the contexts that guests of a front are called with.
type changing struct{}

// call runs f, of the guest, for as long as ctx lets it. It returns f's error,
// or what f panicked with. The configuration must not freeze with a guest that
// hangs: a call that does not end in time is left alone, Health lists it, and
// until it has returned every further call fails at once. Then the sources'
// content is applied again.
func (c *front) call(ctx context.Context, g *guest, f func(context.Context) error) error {
	if g.running != nil {
		select {
		case <-g.running:
		default:
			return fmt.Errorf("an earlier call has not returned yet")
		}
	}
	done := make(chan struct{})
	g.running = done
	err := errors.New("it ended its goroutine")
	go func() {
		defer c.returned(g, done)
		err = fault.Guard(func() error { return f(context.WithValue(ctx, changing{}, c)) })
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-done:
		return err
	case <-t.C:
		return c.leave(ctx, g, done)
	}
}

// leave gives up waiting for a call.
func (c *front) leave(ctx context.Context, g *guest, done chan struct{}) error {
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	err := fmt.Errorf("no answer: %w", ctx.Err())
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: %w", c.prepare, ctx.Err())
	}
	select {
	case <-done: // just now; its result is as good as none
	default:
		c.late[g] = fmt.Errorf("%s has not returned since %s", g.name, time.Now().Format("15:04:05"))
	}
	return err
}

// returned ends a call. If nobody waits for it any more, changes that it held
// up are tried again.
func (c *front) returned(g *guest, done chan struct{}) {
	c.stateMu.Lock()
	_, late := c.late[g]
	delete(c.late, g)
	close(done)
	c.stateMu.Unlock()
	if late && !c.life.Closed() {
		c.heard(true)
	}
}
