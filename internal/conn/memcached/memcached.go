// Package memcached speaks memcached's text protocol to one or several
// servers: requests of many callers in one round trip, deadlines, connections
// that are checked before use, and keys spread by ketama.
//
// The protocol is https://github.com/memcached/memcached/blob/master/doc/protocol.txt.
package memcached

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/stream"
	"github.com/micro/go-platform/internal/fault"
)

// Config says how to reach the servers.
type Config struct {
	// Address is "host", "host:port", several as "a:11211,b:11211", or a URL
	// with the scheme memcached or memcacheds (TLS).
	Address string

	TLS     *tls.Config   // also with a plain address; nil: the scheme decides
	Timeout time.Duration // of one round trip; 0: 3 s
}

// Client is a set of servers. It has no goroutines.
type Client struct {
	Servers []*Server
	ring    ring
}

// dialTimeout bounds making a connection.
const dialTimeout = 2 * time.Second

// Open builds the client that c describes. It connects to nothing.
func Open(c Config) (*Client, error) {
	client := &Client{}
	seen := map[string]bool{}
	var names []string
	for host := range conn.Hosts(c.Address) {
		a, err := conn.Parse(host, conn.Scheme{Name: "memcached", Port: 11211}, conn.Scheme{Name: "memcacheds", Port: 11211})
		switch {
		case err != nil:
			return nil, fault.Mark(fault.Invalid, err)
		case a.Path != "" || a.HasUser || len(a.Query) > 0:
			return nil, fault.Markf(fault.Invalid, "address %q has more than hosts and ports", conn.Redact(c.Address))
		case seen[a.HostPort()]:
			return nil, fault.Markf(fault.Invalid, "server %s is named twice", a.HostPort())
		}
		seen[a.HostPort()] = true
		s := &Server{addr: a.HostPort(), config: c}
		s.pool.Dial, s.pool.Timeout, s.pool.MaxOpen = s.dial, cmp.Or(c.Timeout, 3*time.Second), max(16, 10*runtime.GOMAXPROCS(0))
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
		s.pool.Close()
	}
	return nil
}

// Server is one memcached.
type Server struct {
	addr    string
	config  Config
	pool    stream.Pool
	maxItem atomic.Int64 // the server's limit, once known
}

// MaxItem returns how large an item may be on this server, with its key and
// about 60 bytes of its own; 0 if no connection was made yet.
func (s *Server) MaxItem() int { return int(s.maxItem.Load()) }

func (s *Server) dial(ctx context.Context) (*stream.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", s.addr)
	if err == nil && s.config.TLS != nil {
		conf := s.config.TLS.Clone()
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(s.addr)
		}
		t := tls.Client(nc, conf)
		err = t.HandshakeContext(ctx)
		if err != nil {
			nc.Close()
		}
		nc = t
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.addr, err)
	}
	c := stream.NewConn(nc)
	if s.maxItem.Load() == 0 {
		deadline, _ := ctx.Deadline()
		_ = nc.SetDeadline(deadline)
		n, err := itemSizeMax(c)
		if err != nil {
			nc.Close()
			if s.config.TLS == nil {
				err = conn.HungUp(err)
			}
			return nil, fmt.Errorf("%s: %w", s.addr, err)
		}
		s.maxItem.Store(n)
	}
	return c, nil
}

// itemSizeMax asks for the server's limit: it drops the old value when it
// refuses a new one that is too large, so one has to know before.
func itemSizeMax(c *stream.Conn) (int64, error) {
	fmt.Fprint(c.W, "stats settings\r\n")
	if err := c.W.Flush(); err != nil {
		return 0, err
	}
	size := int64(1 << 20)
	for {
		b, err := readLine(c)
		if err != nil {
			return 0, err
		}
		line := string(b)
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
