package cassandra

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// dialer knows the connections of a session: the driver loses some that it was
// making while a node came back.
type dialer struct {
	net.Dialer

	mu     sync.Mutex
	open   []*net.TCPConn
	closed bool
	dials  int       // in progress
	last   time.Time // that one began or ended
}

func newDialer(timeout time.Duration) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}}
}

// DialContext dials as net.Dialer does, until close.
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if !d.begin() {
		return nil, net.ErrClosed
	}
	defer d.end()
	c, err := d.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	d.open = append(slices.DeleteFunc(d.open, isClosed), tcp)
	return c, nil
}

func isClosed(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

func (d *dialer) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = time.Now()
	if d.closed {
		return false
	}
	d.dials++
	return true
}

func (d *dialer) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = time.Now()
	d.dials--
}

func (d *dialer) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// quiet waits until the last dial is some time ago, so that what it was for has
// succeeded or failed; no longer than limit.
func (d *dialer) quiet(limit, calm time.Duration) {
	for start := time.Now(); time.Since(start) < limit; {
		d.mu.Lock()
		rest := calm - time.Since(d.last)
		if d.dials > 0 {
			rest = calm
		}
		d.mu.Unlock()
		if rest <= 0 {
			return
		}
		time.Sleep(min(rest, limit))
	}
}

// close closes the session's connections, and has it make no others.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, c := range d.open {
		c.Close()
	}
	d.open = nil
}
