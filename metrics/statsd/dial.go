package statsd

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cactus/go-statsd-client/v5/statsd"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// dial returns a sender for addr and how to ask whether somebody is there, nil
// where that can't be known.
func dial(addr string, o *options) (statsd.Sender, func(ctx context.Context) error, error) {
	if path, ok := strings.CutPrefix(addr, "unixgram://"); ok {
		if path == "" {
			return nil, nil, fault.Markf(fault.Invalid, "address %q has no path", addr)
		}
		s := &stream{network: "unixgram", addr: path, timeout: o.timeout}
		return s, s.Ping, nil
	}
	a, err := conn.Parse(addr, conn.Scheme{Name: "udp", Port: 8125}, conn.Scheme{Name: "tcp", Port: 8125})
	if err != nil {
		return nil, nil, fault.Mark(fault.Invalid, err)
	}
	if a.Scheme == "tcp" {
		s := &stream{network: "tcp", addr: a.HostPort(), timeout: o.timeout, end: "\n"}
		return s, s.Ping, nil
	}
	s := &lazyUDP{addr: a.HostPort(), every: o.resolve}
	return s, s.ping, nil
}

// lazyUDP is go-statsd-client's resolving sender, made once the name resolves.
type lazyUDP struct {
	addr  string
	every time.Duration

	mu     sync.Mutex
	sender statsd.Sender
	closed bool
}

func (s *lazyUDP) open() (statsd.Sender, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.sender == nil {
		sender, err := statsd.NewResolvingSimpleSender(s.addr, s.every)
		if err != nil {
			return nil, err
		}
		s.sender = sender
	}
	return s.sender, nil
}

// ping finds out whether the name resolves; UDP says no more.
func (s *lazyUDP) ping(ctx context.Context) error {
	host, _, _ := net.SplitHostPort(s.addr)
	if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
		return fault.Mark(fault.Unavailable, err)
	}
	return nil
}

func (s *lazyUDP) Send(data []byte) (int, error) {
	sender, err := s.open()
	if err != nil {
		return 0, err
	}
	return sender.Send(data)
}

func (s *lazyUDP) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.sender == nil {
		return nil
	}
	return s.sender.Close()
}

// stream sends over what go-statsd-client has no sender for: TCP, where the
// last line of a packet needs an end, and Unix datagram sockets. It connects
// when needed and again after an error.
type stream struct {
	network, addr string
	end           string
	timeout       time.Duration

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

// connect returns the connection. s.mu is held.
func (s *stream) connect(ctx context.Context) (net.Conn, error) {
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.conn == nil {
		d := net.Dialer{Timeout: s.timeout}
		c, err := d.DialContext(ctx, s.network, s.addr)
		if err != nil {
			return nil, err
		}
		s.conn = c
	}
	return s.conn, nil
}

func (s *stream) Ping(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.connect(ctx)
	return fault.Mark(fault.Unavailable, err)
}

// Send writes one packet. A packet of which a part went out counts as sent: the
// rest would be read as lines that nobody wrote.
func (s *stream) Send(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for range 2 { // the peer may have closed since the last packet
		c, err := s.connect(context.Background())
		if err != nil {
			return 0, errors.Join(first, err)
		}
		_ = c.SetWriteDeadline(time.Now().Add(s.timeout))
		n, err := c.Write(append(data[:len(data):len(data)], s.end...))
		if err == nil {
			return len(data), nil
		}
		_ = c.Close()
		s.conn = nil
		if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		first = err
	}
	return 0, first
}

func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}
