package sim

import (
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// pair is a connection: its two ends, and the pipe that each one writes to. All of it
// is guarded by the network's mu.
type pair struct {
	net     *Net
	hosts   [2]*Host // who dialled, who accepted
	ends    [2]*conn
	pipes   [2]*pipe // pipes[i] is what hosts[i] sends
	silent  bool     // everything is swallowed
	gone    bool     // one end is on a machine that crashed since
	unheard bool     // something was sent to it after that
	number  int
}

// pipe is one direction of a connection.
type pipe struct {
	pair     *pair
	way      *way
	segments []segment
	seed     uint64
	size     int // bytes in segments
	sent     int // segments so far
	credit   int // bytes to be read before a reset; -1: none is due
	wake     chan struct{}
}

type segment struct {
	data []byte
	due  time.Time
	fin  bool
}

const (
	window     = 256 << 10 // bytes that are on their way or unread, before a writer waits
	maxSegment = 16 << 10
)

// newPair is called with mu held.
func (n *Net) newPair(from, to *Host, port uint16) *pair {
	key := [2]*Host{from, to}
	p := &pair{net: n, hosts: key, number: n.numbers[key]}
	n.numbers[key]++
	addrs := [2]net.Addr{from.tcp(uint16(32768 + p.number%28000)), to.tcp(port)}
	for i := range p.pipes {
		w := n.way(p.hosts[i], p.hosts[1-i])
		p.pipes[i] = &pipe{pair: p, way: w, seed: mix(w.seed ^ uint64(p.number)<<1 ^ uint64(i)), credit: -1, wake: make(chan struct{})}
	}
	for i := range p.ends {
		p.ends[i] = &conn{pair: p, side: i, in: p.pipes[1-i], out: p.pipes[i], local: addrs[i], remote: addrs[1-i]}
	}
	n.conns = append(n.conns, p)
	return p
}

// sends is the index of the pipe that a host writes to.
func (p *pair) sends(h *Host) int {
	if p.hosts[0] == h {
		return 0
	}
	return 1
}

// tidy forgets connections that both ends are done with.
func (n *Net) tidy() {
	n.conns = slices.DeleteFunc(n.conns, func(p *pair) bool { return p.ends[0].done() && p.ends[1].done() })
}

func (q *pipe) wakeUp() {
	close(q.wake)
	q.wake = make(chan struct{})
}

// resetAfter resets the connection when so many more bytes have been read.
func (q *pipe) resetAfter(size int) {
	if size == 0 {
		q.pair.reset()
		return
	}
	q.credit = size
}

func (p *pair) reset() {
	for _, c := range p.ends {
		c.fail(syscall.ECONNRESET)
	}
}

// quiet reports whether nothing has come of an idle connection, not even its end.
func (c *conn) quiet() bool {
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	now := time.Now()
	_, err := c.broken(now, time.Time{})
	came := len(c.in.segments) > 0 && c.in.way.cuts == 0 && !now.Before(maxTime(c.in.segments[0].due, c.in.way.clear))
	return err == nil && !came
}

// put queues what is sent at its time of arrival.
func (q *pipe) put(data []byte, fin bool) {
	n, w, now := q.pair.net, q.way, time.Now()
	if q.pair.gone {
		q.pair.unheard = true
	}
	if q.pair.silent || q.pair.gone {
		return
	}
	chance := mix(q.seed ^ uint64(q.sent))
	q.sent++
	took := w.base + w.delay + time.Duration(chance%uint64(w.base/4))
	for again := rto; int(chance>>32%100) < w.loss && again < 4*time.Second; again *= 2 {
		took += again
		chance = mix(chance)
	}
	if w.rate > 0 {
		took += time.Duration(len(data)) * time.Second / time.Duration(w.rate)
		now = maxTime(now, w.arrived.Add(-w.base)) // what was sent before goes first
	}
	due := now.Add(took)
	if k := len(q.segments); k > 0 && !due.After(q.segments[k-1].due) {
		due = q.segments[k-1].due.Add(1)
	}
	w.arrived = maxTime(w.arrived, due)
	q.segments = append(q.segments, segment{data, due, fin})
	q.size += len(data)
	n.bytes += int64(len(data))
	q.wakeUp()
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// conn is one end of a connection.
type conn struct {
	pair          *pair
	side          int
	in, out       *pipe
	local, remote net.Addr

	// guarded by the network's mu
	err         error // why it can no longer be used
	later       error // the same, from a moment on, when the news has come
	laterAt     time.Time
	laterBy     *way      // that the news comes by
	readBefore  time.Time // deadlines
	writeBefore time.Time
}

func (c *conn) other() *conn { return c.pair.ends[1-c.side] }

func (c *conn) done() bool { return c.err != nil }

// fail ends this end. Called with mu held, as what follows.
func (c *conn) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.in.wakeUp()
	c.out.wakeUp()
}

// failLater ends this end when the news has come by a way.
func (c *conn) failLater(err error, w *way) {
	if c.later == nil {
		c.later, c.laterAt, c.laterBy = err, time.Now().Add(w.base+w.delay), w
	}
	c.in.wakeUp()
	c.out.wakeUp()
}

// broken returns why the connection is of no use, or else until when it may be.
func (c *conn) broken(now, deadline time.Time) (until time.Time, err error) {
	comes := c.later != nil && c.laterBy.cuts == 0 // else all are woken when the cut ends
	var at time.Time
	if comes {
		at = maxTime(c.laterAt, c.laterBy.clear)
	}
	if c.err == nil && comes && !now.Before(at) {
		c.err = c.later
	}
	switch {
	case c.err != nil:
		return now, c.err
	case !deadline.IsZero() && !now.Before(deadline):
		return now, os.ErrDeadlineExceeded
	case comes && (deadline.IsZero() || at.Before(deadline)):
		return at, nil
	}
	return deadline, nil
}

// await waits for a pipe to change, or until a moment that may be zero.
func await(wake chan struct{}, until time.Time) {
	if until.IsZero() {
		<-wake
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-wake:
	case <-t.C:
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, q := c.pair.net, c.in
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		now := time.Now()
		until, err := c.broken(now, c.readBefore)
		if err != nil {
			return 0, c.opError("read", err)
		}
		if len(b) == 0 {
			return 0, nil
		}
		if len(q.segments) > 0 && q.way.cuts == 0 && !c.pair.silent {
			due := maxTime(q.segments[0].due, q.way.clear)
			if !now.Before(due) {
				return c.take(b)
			}
			if until.IsZero() || due.Before(until) {
				until = due
			}
		}
		wake := q.wake
		n.mu.Unlock()
		await(wake, until)
		n.mu.Lock()
	}
}

// take returns what has arrived.
func (c *conn) take(b []byte) (int, error) {
	q := c.in
	s := &q.segments[0]
	if s.fin {
		return 0, io.EOF
	}
	if q.credit > 0 && q.credit < len(b) {
		b = b[:q.credit]
	}
	k := copy(b, s.data)
	s.data = s.data[k:]
	if len(s.data) == 0 {
		q.segments = q.segments[1:]
	}
	full := q.size >= window
	q.size -= k
	if full && q.size < window {
		q.wakeUp()
	}
	if q.credit > 0 {
		q.credit -= k
		if q.credit == 0 {
			c.pair.reset()
		}
	}
	return k, nil
}

func (c *conn) Write(b []byte) (wrote int, err error) {
	n, q := c.pair.net, c.out
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		until, err := c.broken(time.Now(), c.writeBefore)
		if err != nil {
			return wrote, c.opError("write", err)
		}
		if len(b) == 0 {
			return wrote, nil
		}
		if q.size < window {
			k := min(len(b), maxSegment)
			q.put(append([]byte(nil), b[:k]...), false)
			b, wrote = b[k:], wrote+k
			if c.pair.gone && !c.pair.hosts[1-c.side].off { // the machine is back, and knows nothing
				c.failLater(syscall.ECONNRESET, q.way)
			}
			if o := c.other(); o.err != nil && c.later == nil && !c.pair.gone && !c.pair.silent { // it was closed
				c.failLater(syscall.EPIPE, q.way)
			}
			continue
		}
		wake := q.wake
		n.mu.Unlock()
		await(wake, until)
		n.mu.Lock()
	}
}

func (c *conn) Close() error {
	n := c.pair.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.err == net.ErrClosed {
		return c.opError("close", net.ErrClosed)
	}
	if c.err == nil {
		c.out.put(nil, true)
	}
	c.err = nil
	c.fail(net.ErrClosed)
	n.tidy()
	return nil
}

func (c *conn) opError(op string, err error) error {
	if e, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, e)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error { return c.deadlines(&t, &t) }

func (c *conn) SetReadDeadline(t time.Time) error { return c.deadlines(&t, nil) }

func (c *conn) SetWriteDeadline(t time.Time) error { return c.deadlines(nil, &t) }

func (c *conn) deadlines(read, write *time.Time) error {
	c.pair.net.mu.Lock()
	defer c.pair.net.mu.Unlock()
	if c.err == net.ErrClosed {
		return c.opError("set", net.ErrClosed)
	}
	if read != nil {
		c.readBefore = *read
		c.in.wakeUp()
	}
	if write != nil {
		c.writeBefore = *write
		c.out.wakeUp()
	}
	return nil
}
