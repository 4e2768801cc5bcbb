package wrapper

import (
	"crypto/tls"
	"net"
	"sync"
)

// closing tells the call once when its connection is closed.
type closing struct {
	r    *response
	once sync.Once
}

func (c *closing) closed() {
	c.once.Do(func() {
		c.r.connClosed.Store(true)
		if c.r.returned.Load() {
			c.r.onClose()
		}
	})
}

// watch returns a connection that was taken over, with all the methods that it
// has, such as CloseWrite.
func watch(c net.Conn, r *response) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		return &hijackedTCP{TCPConn: c, closing: closing{r: r}}
	case *tls.Conn:
		return &hijackedTLS{Conn: c, closing: closing{r: r}}
	case *net.UnixConn:
		return &hijackedUnix{UnixConn: c, closing: closing{r: r}}
	case halfCloser:
		return &hijackedHalf{halfCloser: c, closing: closing{r: r}}
	}
	return &hijacked{Conn: c, closing: closing{r: r}}
}

type halfCloser interface {
	net.Conn
	CloseWrite() error
}

type (
	hijackedTCP struct {
		*net.TCPConn
		closing
	}
	hijackedTLS struct {
		*tls.Conn
		closing
	}
	hijackedUnix struct {
		*net.UnixConn
		closing
	}
	hijackedHalf struct {
		halfCloser
		closing
	}
	hijacked struct {
		net.Conn
		closing
	}
)

func (h *hijackedTCP) Close() error  { defer h.closed(); return h.TCPConn.Close() }
func (h *hijackedTLS) Close() error  { defer h.closed(); return h.Conn.Close() }
func (h *hijackedUnix) Close() error { defer h.closed(); return h.UnixConn.Close() }
func (h *hijackedHalf) Close() error { defer h.closed(); return h.halfCloser.Close() }
func (h *hijacked) Close() error     { defer h.closed(); return h.Conn.Close() }
