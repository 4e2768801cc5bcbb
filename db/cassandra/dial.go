package cassandra

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// dialer knows the connections of a session: the driver loses some that it was
// making while a node came back.
type dialer struct {
	net.Dialer
	reads atomic.Int64 // from all connections

	mu      sync.Mutex
	open    []*net.TCPConn
	closed  bool
	learned time.Time // that the driver asked last whether it may use a node; zero: not since the session is made
}

func newDialer(timeout time.Duration) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}}
}

// DialContext dials as net.Dialer does, until close.
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.isClosed() {
		return nil, net.ErrClosed
	}
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
	return link{tcp, d}, nil
}

// link is a connection that counts its reads.
type link struct {
	*net.TCPConn
	of *dialer
}

func (l link) Read(b []byte) (int, error) {
	n, err := l.TCPConn.Read(b)
	l.of.reads.Add(1)
	return n, err
}

func isClosed(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

func (d *dialer) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// Accept lets the driver use a node, until close. It asks for the one of each new connection by
// which it follows the cluster's state, and then for those that it learns of there.
func (d *dialer) Accept(*gocql.HostInfo) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learned = time.Now()
	return !d.closed
}

// made is called when the session is there.
func (d *dialer) made() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learned = time.Time{}
}

// settle waits until the driver has nothing to read for some time, if it may have begun to follow
// the cluster's state by a new connection; no longer than limit. Many short sleeps are not over
// at once when the process was stopped.
func (d *dialer) settle(limit time.Duration) {
	const step, calm = 10 * time.Millisecond, 50
	d.mu.Lock()
	learned := d.learned
	d.mu.Unlock()
	start := time.Now()
	if start.Sub(learned) > 30*time.Second {
		return
	}
	for n, reads := 0, d.reads.Load(); n < calm && time.Since(start) < limit; n++ {
		time.Sleep(step)
		if now := d.reads.Load(); now != reads {
			n, reads = -1, now
		}
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
