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
}

func newDialer(timeout time.Duration) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}}
}

// DialContext dials as net.Dialer does, until close.
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
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

// close closes what the session has left open.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, c := range d.open {
		c.Close()
	}
	d.open = nil
}
