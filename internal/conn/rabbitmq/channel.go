package rabbitmq

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Channel is a channel whose requests end with a context. The client's own wait
// until the server answers or the connection breaks.
type Channel struct {
	*amqp.Channel
	v       *live
	timeout time.Duration

	// busy is held by a request: the client takes any answer as that of the newest
	// one, and a number is given to another channel when this one is closed.
	busy sync.Mutex
}

// Channel opens a channel.
func (l *Link) Channel(ctx context.Context) (*Channel, error) {
	v, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	ch := &Channel{v: v, timeout: l.e.c.Timeout}
	opened := make(chan *amqp.Channel, 1)
	err = ch.Do(ctx, func() error {
		c, err := v.c.Channel()
		opened <- c
		return err
	})
	if err != nil {
		go func() { // it may be opened yet
			if c := <-opened; c != nil {
				c.Close()
			}
		}()
		return nil, err
	}
	ch.Channel = <-opened
	return ch, nil
}

// Spare returns a channel that somebody has put back, or a new one.
func (l *Link) Spare(ctx context.Context) (*Channel, error) {
	v, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	for {
		select {
		case c := <-v.free:
			if !c.IsClosed() {
				return c, nil
			}
		default:
			return l.Channel(ctx)
		}
	}
}

// Ask makes requests on a spare channel.
func (l *Link) Ask(ctx context.Context, requests func(*amqp.Channel) error) error {
	ch, err := l.Spare(ctx)
	if err != nil {
		return err
	}
	err = ch.Do(ctx, func() error { return requests(ch.Channel) })
	if err != nil {
		ch.Drop() // an answer that is an error has closed it
		return err
	}
	ch.PutBack()
	return nil
}

// Alive is a request that changes nothing.
func Alive(ch *amqp.Channel) error { return ch.Qos(0, 0, false) }

// PutBack keeps a channel on which nothing is going on for the next Spare.
func (c *Channel) PutBack() {
	select {
	case c.v.free <- c:
	default:
		c.Drop()
	}
}

// Drop closes a channel without waiting for it. What was delivered on it and not
// acknowledged goes back to its queue.
func (c *Channel) Drop() {
	go func() {
		c.busy.Lock()
		defer c.busy.Unlock()
		c.Channel.Close()
	}()
}

// Begin begins a consumer that is sent up to credit deliveries before it acknowledges
// some.
func (c *Channel) Begin(ctx context.Context, queue, tag string, credit int, args amqp.Table) (<-chan amqp.Delivery, error) {
	opened := make(chan (<-chan amqp.Delivery), 1)
	err := c.Do(ctx, func() error {
		if err := c.Qos(credit, 0, false); err != nil {
			return err
		}
		deliveries, err := c.Consume(queue, tag, false, false, false, false, args)
		opened <- deliveries
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-opened, nil
}

// Close closes the channel and waits for the server's answer, which says that
// it has seen all that was sent before.
func (c *Channel) Close(ctx context.Context) error { return c.Do(ctx, c.Channel.Close) }

// Break closes the connection, for all who use it: what was sent over it is lost
// in part.
func (c *Channel) Break() { go c.v.close() }

// Do makes a request. One without an answer within the engine's timeout breaks the
// connection, and its error is ErrUnavailable; when ctx ends before, ctx's error.
func (c *Channel) Do(ctx context.Context, request func() error) error {
	done := make(chan error, 1)
	began := time.Now()
	go func() {
		c.busy.Lock()
		defer c.busy.Unlock()
		done <- request()
	}()
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		if !c.v.blocked.Load() {
			c.Break()
		}
		return fault.Markf(fault.Unavailable, "no answer within %v", c.timeout)
	case <-ctx.Done():
		// The server may be silent only to this request, or altogether.
		if time.Since(began) > time.Second && c.Silent(time.Since(began)) && !c.v.blocked.Load() {
			c.Break()
		}
		return ctx.Err()
	}
}

// Timeout is how long the server has to answer.
func (c *Channel) Timeout() time.Duration { return c.timeout }

// Silent reports whether nothing has come from the server for so long.
func (c *Channel) Silent(d time.Duration) bool {
	return time.Since(time.Unix(0, c.v.w.heard.Load())) >= d
}

// Blocked reports whether the server takes no messages now: it has an alarm.
func (c *Channel) Blocked() bool { return c.v.blocked.Load() }

// FrameSize is how many bytes a frame has at most, and so the head of a message.
func (c *Channel) FrameSize() int { return c.v.c.Config.FrameSize }

// Ping asks the server for a sign of life. Its error names the address, and is
// Denied if the server refuses the user, else Unavailable.
func (c *Conn) Ping(ctx context.Context) error {
	l := c.Link("read")
	defer l.Release()
	err := l.Ask(ctx, Alive)
	switch {
	case err == nil:
		return nil
	case fault.KindOf(err) == fault.Denied:
		return err
	}
	return fault.Markf(fault.Unavailable, "no answer from %s: %w", c.addr, err)
}
