// Package wire is the connection of an output to its server: made when it is
// needed, made again after an error or when the server has closed it.
package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Conn is a connection that outlives the ones that it is made of. Every new one
// looks the server's name up again. Its methods are for one goroutine at a
// time; Close may be called by any.
type Conn struct {
	Network, Addr string
	TLS           *tls.Config // not nil: TLS over TCP
	// Greet, if not nil, is run on every new connection.
	Greet func(ctx context.Context, c net.Conn) error
	// Reads says that the owner reads answers. Otherwise what arrives is
	// thrown away, and a server that has closed is noticed before the next
	// write rather than after it.
	Reads bool

	mu     sync.Mutex
	conn   net.Conn
	gone   chan struct{} // closed when the peer has closed; nil if Reads
	closed bool
	wg     sync.WaitGroup
}

// To sets where c connects to: an address with one of the schemes, the first if it
// says none, or a path behind the scheme socket, if that is not empty. t is the TLS
// configuration that was asked for, nil if none was.
func (c *Conn) To(addr, socket string, t *tls.Config, schemes ...conn.Scheme) error {
	if path, ok := strings.CutPrefix(addr, socket+"://"); ok && socket != "" {
		switch {
		case path == "":
			return fault.Markf(fault.Invalid, "address %q has no path", addr)
		case t != nil:
			return fault.Markf(fault.Invalid, "TLS over a unix socket")
		}
		c.Network, c.Addr = socket, path
		return nil
	}
	a, err := conn.Parse(addr, schemes...)
	if err != nil {
		return fault.Mark(fault.Invalid, err)
	}
	c.Network, err = conn.Secure(a, t, schemes[0].Name, "tls")
	c.Addr = a.HostPort()
	if c.Network == "tls" {
		c.Network, c.TLS = "tcp", cmp.Or(t, &tls.Config{})
	}
	return err
}

// Get returns the connection, made if need be.
func (c *Conn) Get(ctx context.Context) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.conn != nil && c.gone != nil {
		select {
		case <-c.gone:
			c.drop()
		default:
		}
	}
	if c.conn != nil {
		return c.conn, nil
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, fault.Mark(fault.Unavailable, err)
	}
	c.conn = conn
	if !c.Reads {
		c.gone = make(chan struct{})
		gone := c.gone
		c.wg.Go(func() {
			defer close(gone)
			buf := make([]byte, 512)
			for {
				if _, err := conn.Read(buf); err != nil {
					return
				}
			}
		})
	}
	return conn, nil
}

func (c *Conn) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, c.Network, c.Addr)
	if err != nil {
		return nil, err
	}
	if c.TLS != nil {
		config := c.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(c.Addr)
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	if c.Greet != nil {
		stop := Bound(ctx, conn)
		err := c.Greet(ctx, conn)
		stop()
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// Write writes b, bounded by ctx. After an error the connection is given up.
// It returns how many bytes the system took.
func (c *Conn) Write(ctx context.Context, b []byte) (int, error) {
	conn, err := c.Get(ctx)
	if err != nil {
		return 0, err
	}
	stop := Bound(ctx, conn)
	n, err := conn.Write(b)
	stop()
	if err != nil {
		c.Drop()
		return n, fault.Mark(fault.Unavailable, err)
	}
	return n, nil
}

// Drop gives the connection up.
func (c *Conn) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
}

func (c *Conn) drop() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn, c.gone = nil, nil
	}
}

// Ping makes the connection.
func (c *Conn) Ping(ctx context.Context) error {
	_, err := c.Get(ctx)
	return err
}

// Close closes the connection for good.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	var err error
	if c.conn != nil {
		err = c.conn.Close()
		c.conn = nil
	}
	c.mu.Unlock()
	c.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Bound makes reads and writes on conn end with ctx. The function that it
// returns undoes it.
func Bound(ctx context.Context, conn net.Conn) func() {
	if t, ok := ctx.Deadline(); ok {
		_ = conn.SetWriteDeadline(t)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() {
		if stop() {
			_ = conn.SetWriteDeadline(time.Time{})
		}
	}
}
