package sim

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"github.com/micro/go-platform/internal/backoff"
)

// Host is a machine on the network.
type Host struct {
	net  *Net
	name string
	ip   netip.Addr

	// guarded by net.mu
	listeners map[uint16]*listener
	frozen    int
	off       bool
}

// Addr is the address of a port.
func (h *Host) Addr(port int) string { return net.JoinHostPort(h.ip.String(), strconv.Itoa(port)) }

// Listen listens on a port.
func (h *Host) Listen(port int) (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	p := uint16(port)
	if h.listeners[p] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: h.tcp(p), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &listener{host: h, port: p, closed: make(chan struct{})}
	h.listeners[p] = l
	return l, nil
}

func (h *Host) tcp(port uint16) net.Addr {
	return &net.TCPAddr{IP: h.ip.AsSlice(), Port: int(port)}
}

// Kill ends all that a process has: its listeners are closed, and its
// connections are reset.
func (h *Host) Kill() { h.down(false) }

// Crash ends all that a machine has without a word: its peers hear nothing, also
// of connections that they try, until Boot.
func (h *Host) Crash() { h.down(true) }

func (h *Host) down(silently bool) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	h.off = silently
	for port, l := range h.listeners {
		delete(h.listeners, port)
		l.end()
	}
	for _, p := range n.conns {
		for i := range p.hosts {
			if p.hosts[i] != h {
				continue
			}
			p.ends[i].fail(net.ErrClosed)
			if silently {
				p.gone = true
			} else {
				p.ends[1-i].failLater(syscall.ECONNRESET, n.way(h, p.hosts[1-i]))
			}
		}
	}
	n.tidy()
	n.changedNow()
}

// Boot brings a machine back that crashed. It knows nothing of the connections of
// before, and resets them when their peers send something, or have.
func (h *Host) Boot() {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	h.off = false
	for _, p := range n.conns {
		for i := range p.hosts {
			if p.hosts[i] == h && p.gone && p.unheard {
				p.ends[1-i].failLater(syscall.ECONNRESET, n.way(h, p.hosts[1-i]))
			}
		}
	}
	n.changedNow()
}

// DialContext connects to a host of the network, as net.Dialer's does.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(to net.Addr, err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: to, Err: err}
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fail(nil, err)
	}
	addr := net.TCPAddrFromAddrPort(to)
	n := h.net
	n.mu.Lock()
	n.dials++
	other := n.byIP[to.Addr().String()]
	n.mu.Unlock()
	if other == nil {
		return fail(addr, os.NewSyscallError("connect", syscall.EHOSTUNREACH))
	}
	for {
		n.mu.Lock()
		there, back := n.way(h, other), n.way(other, h)
		trip := there.base + there.delay + back.base + back.delay
		// A frozen process's kernel still connects.
		open := !other.off && !h.off && h.frozen == 0 && (other.frozen > 0 || there.cuts+back.cuts == 0)
		changed := n.changed
		n.mu.Unlock()
		if open {
			if err := backoff.Sleep(ctx, trip); err != nil {
				return fail(addr, err)
			}
			if c, err := n.connect(h, other, to.Port()); err != nil {
				return fail(addr, os.NewSyscallError("connect", err))
			} else if c != nil {
				return c, nil
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fail(addr, ctx.Err())
		}
	}
}

// connect is what happens at the other end of a dial. Without a connection and
// without an error it has to be tried again.
func (n *Net) connect(h, other *Host, port uint16) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if other.off || h.off {
		return nil, nil
	}
	l := other.listeners[port]
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	if len(l.queue) >= backlog {
		return nil, syscall.ECONNREFUSED
	}
	p := n.newPair(h, other, port)
	l.queue = append(l.queue, p.ends[1])
	n.changedNow()
	return p.ends[0], nil
}

// backlog is how many connections wait to be accepted.
const backlog = 128

type listener struct {
	host   *Host
	port   uint16
	queue  []*conn // guarded by the network's mu
	closed chan struct{}
	over   bool
}

func (l *listener) Accept() (net.Conn, error) {
	n := l.host.net
	for {
		n.mu.Lock()
		changed := n.changed
		var c *conn
		if len(l.queue) > 0 && l.host.frozen == 0 {
			c, l.queue = l.queue[0], l.queue[1:]
		}
		n.mu.Unlock()
		if c != nil {
			return c, nil
		}
		select {
		case <-changed:
		case <-l.closed:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
		}
	}
}

func (l *listener) Addr() net.Addr { return l.host.tcp(l.port) }

func (l *listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.over {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	delete(l.host.listeners, l.port)
	l.end()
	n.tidy()
	return nil
}

// end is called with the network's mu held.
func (l *listener) end() {
	if l.over {
		return
	}
	l.over = true
	close(l.closed)
	for _, c := range l.queue {
		c.fail(net.ErrClosed)
		c.other().failLater(syscall.ECONNRESET, c.out.way)
	}
	l.queue = nil
}
