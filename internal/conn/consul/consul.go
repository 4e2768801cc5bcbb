// Package consul is the one place where a connection to Consul is made:
// addresses, TLS, tokens, failover between agents, what an error means, and
// blocking queries that survive everything Consul documents about them. The
// consul backends of all public packages share it.
package consul

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Config says how to reach an agent. Either Address or Client is set.
type Config struct {
	// Address is "host", "host:port", several as "a:8500,b:8500", or a URL with
	// the scheme consul or http (plain), consuls or https (TLS). A password in
	// a URL is the token, unless it has a user too: then it is basic
	// authentication. The default port is 8500, with TLS 8501.
	Address string

	Token      string      // ACL token; overrides one of a URL
	TLS        *tls.Config // also with a plain address; nil: the scheme decides
	Datacenter string      // "" is the agent's own

	// Client is the user's own client. Close leaves it open, and the fields
	// above are not used.
	Client *api.Client
}

// Conn is an engine as one backend has it: its own, or one that it shares. All
// methods of the client are usable.
type Conn struct {
	*api.Client
	transports []*http.Transport // none: the user's client
	address    string
	agents     int           // how many addresses
	share      time.Duration // of the time of Ping for one of several
	held       chan struct{} // holds a token for each blocking query
	closed     *atomic.Bool  // nil: the user's client
	shared     bool          // Close is for others to call
}

// An agent takes 200 connections from all processes of a host by default.
// maxCalls bounds those of calls that are answered at once. A blocking query has
// a connection for as long as it lasts: maxQueries bounds those that Follow
// makes.
const (
	maxCalls   = 32
	maxQueries = 32
)

// dialTimeout bounds one attempt to connect to one agent, so that another is
// tried while a call has time left.
const dialTimeout = 2 * time.Second

var schemes = []conn.Scheme{{Name: "consul", Port: 8500}, {Name: "http", Port: 8500}, {Name: "consuls", Port: 8501}, {Name: "https", Port: 8501}}

// Open checks the configuration and builds a client. It sends nothing; Ping
// does.
func Open(c Config) (*Conn, error) {
	held := make(chan struct{}, maxQueries)
	if c.Client != nil {
		return &Conn{Client: c.Client, address: "the given client", held: held}, nil
	}
	t, err := parse(c.Address)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	d := newDialer(t.hosts, dialTimeout)
	calls := &http.Transport{
		DialContext:         d.dial,
		MaxConnsPerHost:     maxCalls,
		MaxIdleConnsPerHost: maxCalls,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
	scheme := "http"
	if t.tls || c.TLS != nil {
		scheme = "https"
		calls.DialTLSContext = d.dialTLS(c.TLS)
	}
	polls := calls.Clone()
	polls.MaxConnsPerHost, polls.MaxIdleConnsPerHost = 0, 64
	closed := new(atomic.Bool)
	cfg := &api.Config{
		Address: t.hosts[0],
		Scheme:  scheme,
		// api.NewClient fills an empty token from the environment or a file
		// that the environment names; auth puts the right one in its place.
		Token:      "-",
		Datacenter: c.Datacenter,
		HttpClient: &http.Client{
			Transport:     &auth{token: cmp.Or(c.Token, t.token), user: t.user, password: t.password, dialer: d, calls: calls, polls: polls, closed: closed},
			CheckRedirect: conn.SameOrigin,
		},
		Transport: calls,
	}
	client, err := api.NewClient(cfg)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	return &Conn{Client: client, transports: []*http.Transport{calls, polls}, address: strings.Join(t.hosts, ","), agents: len(t.hosts), share: dialTimeout, held: held, closed: closed}, nil
}

// Shared returns the engine for a backend that does not close it.
func (c *Conn) Shared() *Conn {
	s := *c
	s.shared, s.held = true, make(chan struct{}, maxQueries)
	return &s
}

// HoldAtLeast makes room for n blocking queries at once, if that is more than
// usual. It is called before the first.
func (c *Conn) HoldAtLeast(n int) {
	if n > cap(c.held) {
		c.held = make(chan struct{}, n)
	}
}

// Address returns where the agents are, without secrets.
func (c *Conn) Address() string { return c.address }

// Ping asks the agent whether its cluster has a leader: without one nothing
// can be read or written. Of several agents each gets a share of the time, so
// that one that is connected and silent doesn't take all of it.
func (c *Conn) Ping(ctx context.Context) error {
	var err error
	for range max(1, c.agents) {
		err = c.ping(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("consul at %s: %w", c.address, err)
	}
	return nil
}

func (c *Conn) ping(ctx context.Context) error {
	if c.agents > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.share)
		defer cancel()
	}
	leader, err := c.Status().LeaderWithQueryOptions((&api.QueryOptions{}).WithContext(ctx))
	if err == nil && leader == "" {
		return fault.Markf(fault.Unavailable, "no cluster leader")
	}
	if c.agents > 1 && errors.Is(err, context.DeadlineExceeded) {
		return fault.Mark(fault.Unavailable, err)
	}
	return Read(err)
}

// Close ends idle connections of a client that Open built, and requests through
// it fail. It does nothing to a shared one.
func (c *Conn) Close() error {
	if c.shared || c.closed == nil {
		return nil
	}
	c.closed.Store(true)
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
	return nil
}

// target is a parsed list of addresses.
type target struct {
	hosts          []string
	tls            bool
	token          string
	user, password string
}

// parse reads one address or several, with commas between. Scheme and
// credentials stand before the first only.
func parse(addr string) (target, error) {
	parts := strings.Split(addr, ",")
	var t target
	for i, part := range parts {
		if i > 0 && strings.Contains(part, "://") {
			return t, fmt.Errorf("address %q: the scheme stands before the first of several hosts only", conn.Redact(addr))
		}
		def := "consul"
		if t.tls {
			def = "consuls"
		}
		if !strings.Contains(part, "://") && part != "" {
			part = def + "://" + part // for the default port
		}
		a, err := conn.Parse(part, schemes...)
		if err != nil {
			return t, err
		}
		if a.Path != "" {
			return t, fmt.Errorf("address %q has a path", conn.Redact(addr))
		}
		if len(a.Query) > 0 {
			return t, fmt.Errorf("address %q has parameters", conn.Redact(addr))
		}
		err = a.CheckSecret()
		if err != nil {
			return t, fmt.Errorf("address %q: %w", conn.Redact(addr), err)
		}
		if i == 0 {
			t.tls = a.Scheme == "consuls" || a.Scheme == "https"
			if a.User != "" {
				t.user, t.password = a.User, a.Password
			} else {
				t.token = a.Password
			}
		}
		t.hosts = append(t.hosts, a.HostPort())
	}
	return t, nil
}

// auth sets the credentials that the address or the options gave, and only
// those, and tells the dialer about agents that don't answer.
type auth struct {
	token, user, password string
	dialer                *dialer
	calls, polls          *http.Transport
	closed                *atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (a *auth) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.closed.Load() { // under who still uses it
		return nil, &dialError{errors.New("the connection to Consul was closed")}
	}
	r2 := *r
	r2.Header = r.Header.Clone()
	r2.Header.Del("X-Consul-Token")
	if a.token != "" {
		r2.Header.Set("X-Consul-Token", a.token)
	}
	if a.user != "" {
		r2.SetBasicAuth(a.user, a.password)
	}
	base := a.calls
	if r.URL.Query().Has("index") { // a blocking query
		base = a.polls
	}
	resp, err := base.RoundTrip(&r2)
	if err != nil && !errors.Is(err, context.Canceled) && len(a.dialer.hosts) > 1 {
		// Connections to this agent may be stuck: the next call tries another.
		a.dialer.advance()
		a.calls.CloseIdleConnections()
		a.polls.CloseIdleConnections()
	}
	return resp, err
}
