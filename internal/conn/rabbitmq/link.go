package rabbitmq

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// wire is a connection's socket. It notes when the server was heard last.
type wire struct {
	net.Conn
	heard atomic.Int64
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// Link is one connection, made when it is needed and made again when it broke.
type Link struct {
	e         *engine
	key       string // among the shared ones; "" for one that isn't
	heartbeat time.Duration

	mu       sync.Mutex
	users    int
	now      *live
	dialling chan struct{} // closed when the attempt is over
	err      error         // of the last attempt
	failures int
	next     time.Time // not before this
	closed   bool
}

// live is a connection while it lasts.
type live struct {
	c       *amqp.Connection
	w       *wire
	blocked atomic.Bool // the server takes no messages: it has an alarm
	free    chan *Channel
}

// Link returns the connection that all who ask for the same purpose share.
// Each of them calls Release.
func (c *Conn) Link(purpose string) *Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.links[purpose]
	if l == nil {
		l = &Link{e: c.engine, key: purpose, heartbeat: heartbeat, closed: c.closed}
		if !c.closed {
			c.links[purpose] = l
		}
	}
	l.users++
	return l
}

// Own returns a connection that nobody else uses, with a heartbeat of its own: the
// server takes who is silent for three of them as dead.
func (c *Conn) Own(heartbeat time.Duration) *Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Link{e: c.engine, heartbeat: heartbeat, users: 1, closed: c.closed}
}

// Release closes the connection when the last of its users calls it.
func (l *Link) Release() {
	l.e.mu.Lock()
	l.users--
	last := l.users == 0
	if last && l.e.links[l.key] == l {
		delete(l.e.links, l.key)
	}
	l.e.mu.Unlock()
	if last {
		l.end()
	}
}

// end closes the connection for good.
func (l *Link) end() {
	l.mu.Lock()
	l.closed = true
	dialling, now := l.dialling, l.now
	l.now = nil
	l.mu.Unlock()
	if dialling != nil {
		<-dialling // it closes what it has made
	}
	if now != nil {
		now.close()
	}
}

func (v *live) close() { v.c.CloseDeadline(time.Now().Add(time.Second)) }

// connected returns the connection, making it if there is none.
func (l *Link) connected(ctx context.Context) (*live, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return nil, fault.Markf(fault.Unavailable, "the engine is closed")
		}
		if l.now != nil && !l.now.c.IsClosed() {
			v := l.now
			l.mu.Unlock()
			return v, nil
		}
		if l.dialling == nil {
			if wait := time.Until(l.next); wait > 0 { // it failed a moment ago
				err := l.err
				l.mu.Unlock()
				return nil, err
			}
			l.now = nil
			l.dialling = make(chan struct{})
			go l.attempt(l.dialling)
		}
		dialling := l.dialling
		l.mu.Unlock()
		select {
		case <-dialling:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		l.mu.Lock()
		err := l.err
		l.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

var retry = backoff.Policy{Min: 20 * time.Millisecond, Max: time.Second}

func (l *Link) attempt(done chan struct{}) {
	c, w, err := l.e.dial(l.heartbeat)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(done)
	l.dialling, l.err = nil, err
	if err != nil {
		l.next = time.Now().Add(retry.Wait(l.failures))
		l.failures++
		return
	}
	l.failures = 0
	v := &live{c: c, w: w, free: make(chan *Channel, 8)}
	alarms := c.NotifyBlocked(make(chan amqp.Blocking, 1))
	go func() {
		for b := range alarms { // until the connection is closed
			v.blocked.Store(b.Active)
		}
	}()
	if l.closed {
		v.close()
		return
	}
	l.now = v
}

// Blocked reports whether the server takes no messages now. A link without a
// connection isn't blocked.
func (l *Link) Blocked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now != nil && l.now.blocked.Load()
}
