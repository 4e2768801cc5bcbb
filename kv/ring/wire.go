package ring

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// How a call fails besides by its status.
var (
	errUnsent = errors.New("not connected to the peer")           // certainly not applied
	errLost   = errors.New("the connection to the peer was lost") // sent, and no answer
)

const (
	maxUnsent   = 8 << 20          // bytes of requests that wait to be written
	writeWithin = 10 * time.Second // a peer that reads nothing for so long is cut off
)

// wire writes frames to a connection. What several goroutines send while a
// write is under way goes out with the next one.
type wire struct {
	net.Conn
	mu   sync.Mutex
	out  []byte
	wake chan struct{}
	dead chan struct{}
	once sync.Once
}

func newWire(c net.Conn) *wire {
	return &wire{Conn: c, wake: make(chan struct{}, 1), dead: make(chan struct{})}
}

func (w *wire) fail() {
	w.once.Do(func() {
		close(w.dead)
		w.Conn.Close()
	})
}

// send queues a frame. It reports false if limit bytes wait already.
func (w *wire) send(id uint32, op byte, body []byte, limit int) bool {
	w.mu.Lock()
	if limit > 0 && len(w.out) > limit {
		w.mu.Unlock()
		return false
	}
	w.out = appendFrame(w.out, id, op, body)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// flush writes what is queued, until the wire fails.
func (w *wire) flush() {
	defer w.fail()
	var spare []byte
	for {
		select {
		case <-w.wake:
		case <-w.dead:
			return
		}
		w.mu.Lock()
		out := w.out
		w.out = spare[:0]
		w.mu.Unlock()
		_ = w.SetWriteDeadline(time.Now().Add(writeWithin))
		if _, err := w.Write(out); err != nil {
			return
		}
		if spare = out; cap(spare) > 1<<20 {
			spare = nil
		}
	}
}

type answer struct {
	status byte
	body   []byte
}

// conn is a connection on which this node asks.
type conn struct {
	*wire
	pmu     sync.Mutex
	pending map[uint32]chan answer
	last    uint32
	closed  bool
}

// receive hands out answers until the connection fails.
func (c *conn) receive(r *bufio.Reader) {
	defer func() {
		c.fail()
		c.pmu.Lock()
		c.closed = true
		for id, ch := range c.pending {
			delete(c.pending, id)
			close(ch)
		}
		c.pmu.Unlock()
	}()
	for {
		id, status, body, err := readFrame(r)
		if err != nil {
			return
		}
		c.pmu.Lock()
		ch := c.pending[id]
		delete(c.pending, id)
		c.pmu.Unlock()
		if ch != nil {
			ch <- answer{status, body}
		}
	}
}

// call sends a request and waits for its answer. The error is errUnsent, or
// errLost or ctx's error if the request was sent.
func (c *conn) call(ctx context.Context, op byte, body []byte) (answer, error) {
	ch := make(chan answer, 1)
	c.pmu.Lock()
	if c.closed {
		c.pmu.Unlock()
		return answer{}, errUnsent
	}
	c.last++
	id := c.last
	c.pending[id] = ch
	c.pmu.Unlock()
	if !c.send(id, op, body, maxUnsent) {
		c.forget(id)
		return answer{}, errUnsent
	}
	select {
	case a, ok := <-ch:
		if !ok {
			return answer{}, errLost
		}
		return a, nil
	case <-ctx.Done():
		c.forget(id)
		return answer{}, ctx.Err()
	}
}

func (c *conn) forget(id uint32) {
	c.pmu.Lock()
	delete(c.pending, id)
	c.pmu.Unlock()
}
