// Package memcached speaks memcached's text protocol to one or several
// servers: requests of many callers in one round trip, deadlines, connections
// that are checked before use, and keys spread by ketama.
//
// The protocol is https://github.com/memcached/memcached/blob/master/doc/protocol.txt.
package memcached

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Config says how to reach the servers.
type Config struct {
	// Address is "host", "host:port", several as "a:11211,b:11211", or a URL
	// with the scheme memcached or memcacheds (TLS).
	Address string

	TLS         *tls.Config   // also with a plain address; nil: the scheme decides
	DialTimeout time.Duration // 0: 2 s
	Timeout     time.Duration // of one round trip; 0: 3 s
	MaxIdle     int           // connections to a server that are kept; 0: 16
}

// Client is a set of servers. It has no goroutines.
type Client struct {
	Servers []*Server
	ring    ring
}

// Open builds the client that c describes. It connects to nothing.
func Open(c Config) (*Client, error) {
	if c.DialTimeout == 0 {
		c.DialTimeout = 2 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 3 * time.Second
	}
	if c.MaxIdle == 0 {
		c.MaxIdle = 16
	}
	scheme, rest, isURL := strings.Cut(c.Address, "://")
	if !isURL {
		scheme, rest = "", c.Address
	} else {
		scheme += "://"
	}
	client := &Client{}
	seen := map[string]bool{}
	var names []string
	for _, host := range strings.Split(rest, ",") {
		a, err := conn.Parse(scheme+strings.TrimSpace(host), conn.Scheme{Name: "memcached", Port: 11211}, conn.Scheme{Name: "memcacheds", Port: 11211})
		switch {
		case err != nil:
			return nil, fault.Mark(fault.Invalid, err)
		case a.Path != "" || a.User != "" || len(a.Query) > 0:
			return nil, fault.Markf(fault.Invalid, "address %q has more than hosts and ports", conn.Redact(c.Address))
		case seen[a.HostPort()]:
			return nil, fault.Markf(fault.Invalid, "server %s is named twice", a.HostPort())
		}
		seen[a.HostPort()] = true
		s := &Server{addr: a.HostPort(), config: c}
		if a.Scheme == "memcacheds" && s.config.TLS == nil {
			s.config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		client.Servers = append(client.Servers, s)
		names = append(names, s.addr)
	}
	client.ring = newRing(names)
	return client, nil
}

// Pick returns the server of key, the same for the same set of servers.
func (c *Client) Pick(key string) *Server {
	if len(c.Servers) == 1 {
		return c.Servers[0]
	}
	return c.Servers[c.ring.pick(key)]
}

// Close closes the idle connections, and those in use when they are given
// back.
func (c *Client) Close() error {
	for _, s := range c.Servers {
		s.mu.Lock()
		s.closed = true
		idle := s.idle
		s.idle = nil
		s.mu.Unlock()
		for _, c := range idle {
			c.nc.Close()
		}
	}
	return nil
}

// Server is one memcached.
type Server struct {
	addr    string
	config  Config
	maxItem atomic.Int64 // the server's limit, once known

	mu     sync.Mutex
	idle   []*connection // the last used is the last
	closed bool
}

// Addr returns host:port.
func (s *Server) Addr() string { return s.addr }

// MaxItem returns how large an item may be on this server, with its key and
// about 60 bytes of its own; 0 if no connection was made yet.
func (s *Server) MaxItem() int { return int(s.maxItem.Load()) }

type connection struct {
	nc   net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	used time.Time
}

// fresh is how long after its last use a connection is taken without looking.
const fresh = 50 * time.Millisecond

// take returns an idle connection that is alive, or a new one.
func (s *Server) take(ctx context.Context) (*connection, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, net.ErrClosed
		}
		n := len(s.idle)
		if n == 0 {
			s.mu.Unlock()
			return s.dial(ctx)
		}
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		if time.Since(c.used) < fresh || alive(c.nc) {
			return c, nil
		}
		c.nc.Close()
	}
}

func (s *Server) give(c *connection) {
	c.used = time.Now()
	s.mu.Lock()
	if !s.closed && len(s.idle) < s.config.MaxIdle {
		s.idle = append(s.idle, c)
		c = nil
	}
	s.mu.Unlock()
	if c != nil {
		c.nc.Close()
	}
}

func (s *Server) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.DialTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", s.addr)
	if err == nil && s.config.TLS != nil {
		conf := s.config.TLS.Clone()
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(s.addr)
		}
		t := tls.Client(nc, conf)
		if err = t.HandshakeContext(ctx); err != nil {
			nc.Close()
		}
		nc = t
	}
	if err != nil {
		return nil, fault.Markf(fault.Unavailable, "%s: %w", s.addr, err)
	}
	c := &connection{nc: nc, r: bufio.NewReaderSize(nc, 16<<10), w: bufio.NewWriterSize(nc, 16<<10)}
	if s.maxItem.Load() == 0 {
		deadline, _ := ctx.Deadline()
		nc.SetDeadline(deadline)
		n, err := c.itemSizeMax()
		if err != nil {
			nc.Close()
			return nil, fault.Markf(fault.Unavailable, "%s: %w", s.addr, err)
		}
		s.maxItem.Store(n)
	}
	return c, nil
}

// itemSizeMax asks for the server's limit: it drops the old value when it
// refuses a new one that is too large, so one has to know before.
func (c *connection) itemSizeMax() (int64, error) {
	fmt.Fprint(c.w, "stats settings\r\n")
	if err := c.w.Flush(); err != nil {
		return 0, err
	}
	size := int64(1 << 20)
	for {
		line, err := c.line()
		if err != nil {
			return 0, err
		}
		if line == "END" {
			return size, nil
		}
		if strings.HasSuffix(line, "ERROR") || strings.Contains(line, "_ERROR ") {
			return size, nil // something that is no memcached but speaks its language
		}
		fmt.Sscanf(line, "STAT item_size_max %d", &size)
	}
}

// Ping asks every server for a sign of life. Its error is Unavailable and names
// the first that gave none.
func (c *Client) Ping(ctx context.Context) error {
	errs := make([]error, len(c.Servers))
	var wg sync.WaitGroup
	for i, s := range c.Servers {
		wg.Go(func() {
			op := &Op{Verb: Version}
			s.Do(ctx, []*Op{op})
			errs[i] = op.Err
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fault.Markf(fault.Unavailable, "no answer from %s: %w", c.Servers[i].addr, err)
		}
	}
	return nil
}

// ErrLost is in the error of an Op that was sent and not answered.
var ErrLost = errors.New("no answer")
