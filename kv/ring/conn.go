package ring

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"sync"
	"time"
)

// How a call fails besides by its status.
var (
	errUnsent = errors.New("not connected to the peer")           // certainly not applied
	errLost   = errors.New("the connection to the peer was lost") // sent, and no answer
	errLate   = errors.New("no answer from the peer in time")     // the same
)

// answer is what came of a call; err is how it failed.
type answer struct {
	status byte
	body   []byte
	err    error
}

// waiter is a call that waits for its answer.
type waiter struct {
	answer chan answer // holds one
	giveUp time.Time   // zero: when its context ends
}

// conn is a connection on which this node asks.
type conn struct {
	*wire
	waiters sync.Pool // of *waiter; not the package's own: a channel that a synctest bubble made is of no use outside
	mu      sync.Mutex
	pending map[uint32]*waiter
	last    uint32
	closed  bool
	stalled bool        // somebody gave up, and nothing came since
	crowd   int         // how many have waited at a time since nobody did
	sweeper *time.Timer // looks for those who give up
	sweeps  bool        // it is to go off
}

// sweepEvery is how much later than asked a waiter gives up, at most. One timer
// for all costs less than one for each.
const sweepEvery = 20 * time.Millisecond

func newConn(w *wire) *conn {
	c := &conn{wire: w, pending: map[uint32]*waiter{}}
	c.waiters.New = func() any { return &waiter{answer: make(chan answer, 1)} }
	c.sweeper = time.AfterFunc(time.Hour, c.sweep)
	return c
}

// receive hands out answers until the connection fails.
func (c *conn) receive(r *bufio.Reader) {
	defer func() {
		c.fail()
		c.mu.Lock()
		c.closed = true
		c.sweeper.Stop()
		for id, w := range c.pending {
			delete(c.pending, id)
			w.answer <- answer{err: errLost}
		}
		c.mu.Unlock()
	}()
	in := frames{r: r}
	for {
		id, status, body, err := in.next()
		if err != nil {
			return
		}
		c.mu.Lock()
		w := c.pending[id]
		delete(c.pending, id)
		c.stalled = false
		c.mu.Unlock()
		if w == nil {
			continue
		}
		a := answer{status: status}
		if len(body) > 0 {
			a.body = bytes.Clone(body)
		}
		w.answer <- a
	}
}

func (c *conn) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweeps = false
	now := time.Now()
	for id, w := range c.pending {
		switch {
		case w.giveUp.IsZero():
		case now.After(w.giveUp):
			delete(c.pending, id)
			c.stalled = true
			w.answer <- answer{err: errLate}
		default:
			c.sweeps = true
		}
	}
	if c.sweeps {
		c.sweeper.Reset(sweepEvery)
	}
}

// call sends a request, whose body put appends, and waits for its answer, but
// not much longer than giveUp, if that is not zero. The error is errUnsent;
// errLost, errLate or ctx's error if the request was sent.
func (c *conn) call(ctx context.Context, op byte, giveUp time.Time, put func([]byte) []byte) (answer, error) {
	w := c.waiters.Get().(*waiter)
	w.giveUp = giveUp
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.waiters.Put(w)
		return answer{}, errUnsent
	}
	c.last++
	id := c.last
	c.pending[id] = w
	// After a crowd was answered its first does not go ahead alone.
	alone := len(c.pending) == 1 && c.crowd <= 1 && !c.stalled
	c.crowd = max(c.crowd, len(c.pending))
	if len(c.pending) == 1 {
		c.crowd = 1
	}
	if !c.sweeps && !giveUp.IsZero() {
		c.sweeps = true
		c.sweeper.Reset(sweepEvery)
	}
	c.mu.Unlock()
	if !c.send(id, op, maxUnsent, alone, put) {
		c.forget(id, w)
		return answer{}, errUnsent
	}
	var a answer
	if done := ctx.Done(); done == nil {
		a = <-w.answer
	} else {
		select {
		case a = <-w.answer:
		case <-done:
			c.forget(id, w)
			return answer{}, ctx.Err()
		}
	}
	c.waiters.Put(w)
	return a, a.err
}

// forget takes a waiter back.
func (c *conn) forget(id uint32, w *waiter) {
	c.mu.Lock()
	_, there := c.pending[id]
	delete(c.pending, id)
	c.stalled = true
	c.mu.Unlock()
	if !there {
		<-w.answer // it is on its way
	}
	c.waiters.Put(w)
}
