package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	conn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// quiet is how long the connection may say nothing before it is asked for a
// sign of life, and how long that may take.
const quiet = 10 * time.Second

// hub is the one connection on which all sessions listen. It ends when the
// connection fails, with all sessions, which then know that they may have
// missed something; and when the last session leaves.
type hub struct {
	sub    *goredis.PubSub
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // why; valid once ended is closed

	mu        sync.Mutex
	listeners map[string]*listener // by channel
}

// listener is one session's part of a hub.
type listener struct {
	hub     *hub
	channel string
	ready   chan struct{} // closed when the server has confirmed the subscription
	woken   chan struct{} // holds one token
}

// join listens to a channel, on the present hub or a new one.
func (d *driver) join(ctx context.Context, channel string) (*listener, error) {
	l := &listener{channel: channel, ready: make(chan struct{}), woken: make(chan struct{}, 1)}
	d.mu.Lock()
	if d.hub == nil {
		own, cancel := context.WithCancel(context.Background())
		d.hub = &hub{sub: d.Subscribe(own), cancel: cancel, ended: make(chan struct{}), listeners: map[string]*listener{}}
		go d.hub.receive(own)
	}
	l.hub = d.hub
	l.hub.mu.Lock()
	l.hub.listeners[channel] = l
	l.hub.mu.Unlock()
	d.mu.Unlock()

	bounded, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	_, err := conn.Do(bounded, d.Client, func(ctx context.Context) (any, error) { return nil, l.hub.sub.Subscribe(ctx, channel) })
	if err == nil {
		select {
		case <-l.ready:
			return l, nil
		case <-l.hub.ended:
			err = l.hub.err
		case <-bounded.Done():
			err = bounded.Err()
		}
	}
	d.leave(l)
	if ctx.Err() == nil && bounded.Err() != nil {
		err = fault.Markf(fault.Unavailable, "no answer within %v", readTime)
	}
	return nil, conn.ReadError(err)
}

// leave ends what join began, and the hub with the last listener. A hub that
// has ended is replaced by the next join.
func (d *driver) leave(l *listener) {
	h := l.hub
	d.mu.Lock()
	h.mu.Lock()
	delete(h.listeners, l.channel)
	last := len(h.listeners) == 0
	h.mu.Unlock()
	over := last
	select {
	case <-h.ended:
		over = true
	default:
	}
	if over && d.hub == h {
		d.hub = nil
	}
	d.mu.Unlock()
	if last {
		h.cancel()
		h.sub.Close()
		<-h.ended
	} else if !over {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = conn.Do(ctx, d.Client, func(ctx context.Context) (any, error) { return nil, h.sub.Unsubscribe(ctx, l.channel) })
	}
}

// receive wakes the listeners until the connection fails.
func (h *hub) receive(ctx context.Context) {
	defer close(h.ended)
	for asked := false; ; {
		msg, err := h.sub.ReceiveTimeout(ctx, quiet)
		if ctx.Err() != nil {
			h.err = ctx.Err()
			return
		}
		var timeout interface{ Timeout() bool }
		if err != nil && !asked && errors.As(err, &timeout) && timeout.Timeout() {
			asked = true
			err = h.sub.Ping(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			h.err = fault.Mark(fault.Unavailable, err)
			return
		}
		asked = false
		switch m := msg.(type) {
		case *goredis.Message:
			h.wake(m.Channel)
		case *goredis.Subscription:
			h.confirm(m)
		}
	}
}

func (h *hub) wake(channel string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.listeners[channel]; l != nil {
		select {
		case l.woken <- struct{}{}:
		default:
		}
	}
}

// confirm takes note of a subscription. A second one for a channel means that
// the client has made a new connection, and messages may be lost.
func (h *hub) confirm(m *goredis.Subscription) {
	h.mu.Lock()
	l := h.listeners[m.Channel]
	h.mu.Unlock()
	if l == nil || m.Kind != "subscribe" {
		return
	}
	select {
	case <-l.ready:
		h.wake(m.Channel)
	default:
		close(l.ready)
	}
}
