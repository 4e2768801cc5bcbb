package redis

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The client looks at a context's deadline, not at its end: a call whose
// context is cancelled would wait for the server. A goroutine for each call
// costs nearly as much as the call. So a call stays on its caller's goroutine,
// and its end interrupts the connection:
//
//	call → the client asks its context for the deadline → the client sets that on a connection
//	     → the connection, made by our dialer, finds the call by it, and knows whose it is
//	the context ends → the connection that the call has is given a deadline in the past
//
// The deadline of every call is therefore one that no other call has.

// past is a deadline that ends what waits.
var past = time.Unix(1, 0)

// calls are those on their way, by their deadlines.
type calls struct {
	byDeadline sync.Map // of int64 to *call
	n          atomic.Int64
}

// call is the context of one call that can be interrupted.
type call struct {
	context.Context
	deadline time.Time

	mu    sync.Mutex
	link  *link // that it uses, or used last
	ended bool  // its context is
}

// Deadline implements context.Context.
func (c *call) Deadline() (time.Time, bool) { return c.deadline, true }

// begin makes a call that ends with ctx and at the deadline.
func (cs *calls) begin(ctx context.Context, deadline time.Time) (c *call, end func()) {
	c = &call{Context: ctx, deadline: deadline}
	cs.n.Add(1) // before it can be met
	for {
		if _, taken := cs.byDeadline.LoadOrStore(c.deadline.UnixNano(), c); !taken {
			break
		}
		c.deadline = c.deadline.Add(-1)
	}
	stop := context.AfterFunc(ctx, c.interrupt)
	return c, func() {
		stop()
		cs.byDeadline.Delete(c.deadline.UnixNano())
		cs.n.Add(-1)
	}
}

// interrupt ends what the call waits for, now and later.
func (c *call) interrupt() {
	c.mu.Lock()
	c.ended = true
	l := c.link
	c.mu.Unlock()
	if l != nil {
		l.interrupt(c)
	}
}

// use notes the connection and reports whether the call is over.
func (c *call) use(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	return c.ended
}

// find returns the call that has the deadline, or nil.
func (cs *calls) find(deadline time.Time) *call {
	if deadline.IsZero() || cs.n.Load() == 0 {
		return nil
	}
	c, _ := cs.byDeadline.Load(deadline.UnixNano())
	found, _ := c.(*call)
	return found
}

// link is a connection that knows which call it reads and writes for.
type link struct {
	net.Conn
	calls *calls

	mu             sync.Mutex
	reader, writer *call
}

// interrupt ends what the call waits for, unless the connection works for
// another one by now.
func (l *link) interrupt(by *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader == by {
		_ = l.Conn.SetReadDeadline(past)
	}
	if l.writer == by {
		_ = l.Conn.SetWriteDeadline(past)
	}
}

// owner returns the call that has the deadline, and what to set in its place.
func (l *link) owner(t time.Time) (*call, time.Time) {
	c := l.calls.find(t)
	if c != nil && c.use(l) {
		t = past
	}
	return c, t
}

func (l *link) SetDeadline(t time.Time) error {
	return errors.Join(l.SetReadDeadline(t), l.SetWriteDeadline(t))
}

func (l *link) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader, t = l.owner(t)
	return l.Conn.SetReadDeadline(t)
}

func (l *link) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer, t = l.owner(t)
	return l.Conn.SetWriteDeadline(t)
}

// plainLink lets the client see whether an idle connection is alive, which it
// can only without TLS.
type plainLink struct {
	*link
	syscall.Conn
}
