// Package kubernetes is the one place where a connection to a Kubernetes API
// server is made: where it is and who asks (a pod's service account, a
// kubeconfig, an address with a token), requests with their errors, lists in
// pages, and watches that all who follow a resource share. It speaks the HTTP API
// with the standard library; engine/kubernetes is its public face.
package kubernetes

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Config says how to reach an API server. Either Address or Client is set.
type Config struct {
	Address   string // see find
	Namespace string // "" is that of the pod or the context, else "default"

	Token     string      // a bearer token
	TokenFile string      // a file with one, which is read again when it may have changed
	TLS       *tls.Config // nil: the address decides

	Timeout time.Duration // of a call whose context has no deadline; 0 means 30 s

	Rate  float64 // requests a second; 0 means 50
	Burst int     // requests at once above it; 0 means 100

	// Client is the user's own, with its credentials; URL is where it asks.
	// Close leaves it open.
	Client *http.Client
	URL    string

	pod string // where a pod's identity is, in tests; "" is where a kubelet puts it
}

// Conn is a connection to one API server. It is safe for concurrent use.
type Conn struct {
	base      url.URL
	namespace string
	client    *http.Client
	transport *http.Transport // nil: of the user's client
	links     links
	creds     credentials
	headers   http.Header // of impersonation
	limit     *bucket
	timeout   time.Duration
	pings     bool        // the transport notices a silent connection
	blind     atomic.Bool // it does not: the server, or a proxy, has no HTTP/2
	page      int         // objects of a list at once

	mu     sync.Mutex
	closed bool
	feeds  map[any]any // *feed by feedKey

	opens  sync.WaitGroup // the goroutines of feeds
	ending context.Context
	end    context.CancelFunc
}

var errClosed = fault.Markf(fault.Unavailable, "the engine is closed")

// Open checks the configuration and reads the files that it names. It sends
// nothing; Ping does.
func Open(c Config) (*Conn, error) {
	t, err := find(c)
	if err != nil {
		return nil, err
	}
	k := &Conn{
		base: t.base, namespace: t.namespace, creds: t.creds, headers: t.headers,
		limit: newBucket(cmp.Or(c.Rate, 50), cmp.Or(c.Burst, 100)), page: pageSize, timeout: cmp.Or(c.Timeout, 30*time.Second), feeds: map[any]any{},
	}
	k.ending, k.end = context.WithCancel(context.Background())
	if c.Client != nil {
		own := *c.Client
		own.CheckRedirect = noRedirect
		own.Timeout = 0 // it would end watches; calls have deadlines of their own
		k.client = &own
		return k, nil
	}
	k.transport = transport(t, &k.links)
	k.pings = k.base.Scheme == "https"
	k.client = &http.Client{Transport: k.transport, CheckRedirect: noRedirect}
	return k, nil
}

// An idle HTTP/2 connection is asked for a sign of life after pingAfter, and is
// given up when that takes longer than pingWithin: a watch on a connection that
// is half open ends then.
const (
	pingAfter  = 5 * time.Second
	pingWithin = 5 * time.Second
)

// dialTimeout bounds one attempt to connect, and handshakeTimeout that of TLS.
const (
	dialTimeout      = 2 * time.Second
	handshakeTimeout = 5 * time.Second
)

// transport has HTTP/2 where the server speaks it, so that all watches and calls
// share one connection.
func transport(t target, open *links) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	tr := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return open.add(nc)
		},
		TLSClientConfig:     t.tls,
		TLSHandshakeTimeout: handshakeTimeout,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // it costs both sides more than it saves in a data centre
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     90 * time.Second,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWithin, WriteByteTimeout: pingAfter + pingWithin},
	}
	if t.proxy != nil {
		tr.Proxy = http.ProxyURL(t.proxy)
	}
	return tr
}

// noRedirect keeps the credentials where they belong: an API server does not
// redirect.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Namespace returns the one that is meant where none is named.
func (c *Conn) Namespace() string { return c.namespace }

// Address returns where the API server is, without secrets.
func (c *Conn) Address() string { return c.base.Redacted() }

// Ping asks the API server for its version, with the credentials: they are
// refused here if they are wrong.
func (c *Conn) Ping(ctx context.Context) error {
	var version struct {
		Major string `json:"major"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: "/version", into: &version})
	switch {
	case err != nil:
		return fmt.Errorf("kubernetes at %s: %w", c.Address(), err)
	case version.Major == "":
		return fault.Markf(fault.Unavailable, "kubernetes at %s: the answer is no version: is this an API server?", c.Address())
	}
	return nil
}

// Close ends all watches, waits for them, and closes the connections of a client
// that Open made.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.opens.Wait()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
		c.links.close()
	}
	return nil
}

func (c *Conn) isClosed() bool { return c.ending.Err() != nil }
