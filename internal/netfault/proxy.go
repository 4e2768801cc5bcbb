// Package netfault puts a bad network between a client and a server: a TCP proxy for tests that
// holds, loses, delays, cuts and counts what passes.
//
//	p := netfault.New(t, server.Addr())
//	client := dial(p.Addr())
//	p.Hold(netfault.Both) // the network is gone, and nobody is told
//	…
//	p.Heal()
//
// Faults apply to the connections that exist as to those that come. They add up until Heal.
package netfault

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
)

// A Proxy forwards TCP connections to a target. Its methods may be called from any goroutine.
type Proxy struct {
	t      testing.TB
	addr   string
	target string
	counts counts
	wg     sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil: refusing, or closed
	links    map[*link]struct{}
	rules    rules
	changed  chan struct{} // closed when rules change
	closed   bool
}

// New starts a proxy on a free loopback port. It ends with the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, target: target, links: map[*link]struct{}{}, changed: make(chan struct{})}
	for try := 1; ; try++ { // a port that was free may be taken by a program that doesn't reserve
		p.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(servertest.Port(t)))
		err := p.listen()
		if err == nil {
			break
		}
		if try == 5 {
			t.Fatalf("netfault: %v", err)
		}
	}
	t.Cleanup(p.Close)
	return p
}

// Addr returns host:port, where clients connect to.
func (p *Proxy) Addr() string { return p.addr }

// Close ends the proxy and resets its connections. New has the test do it.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.stopListening()
	p.abort(func(*link) bool { return true })
	p.mu.Unlock()
	p.wg.Wait()
}

// listen accepts connections until stopListening.
func (p *Proxy) listen() error {
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.listener = l
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			p.admit(c.(*net.TCPConn))
		}
	})
	return nil
}

func (p *Proxy) admit(c *net.TCPConn) {
	p.counts.accepted.Add(1)
	l := &link{proxy: p, client: c, done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		l.abort()
		return
	}
	p.links[l] = struct{}{}
	p.wg.Go(func() {
		l.run()
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	})
}

// stopListening closes the listener, so that new connections are refused. Callers hold p.mu.
func (p *Proxy) stopListening() {
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
}

// abort resets the connections that which accepts. Callers hold p.mu.
func (p *Proxy) abort(which func(*link) bool) {
	for l := range p.links {
		if which(l) {
			l.abort()
		}
	}
}

// Counts is what a proxy has seen.
type Counts struct {
	Accepted int   // connections
	Open     int   // connections, now
	Requests int   // HTTP/1 requests; on connections of another protocol, chunks of bytes that clients sent
	Sent     int64 // bytes that reached the target
	Received int64 // bytes that reached clients
}

type counts struct {
	accepted, requests, sent, received atomic.Int64
}

// Counts returns what the proxy has seen since its start. The difference of two is what an idle
// client costs.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Counts{
		Accepted: int(p.counts.accepted.Load()),
		Open:     len(p.links),
		Requests: int(p.counts.requests.Load()),
		Sent:     p.counts.sent.Load(),
		Received: p.counts.received.Load(),
	}
}

// Rest waits until no request has come for 200 ms, and returns what the proxy has seen by then. It
// fails the test after 30 s. What began with a watch may still be under way when it is synced.
func (p *Proxy) Rest() Counts {
	p.t.Helper()
	before := p.Counts()
	for deadline := time.Now().Add(30 * time.Second); ; {
		<-time.After(200 * time.Millisecond)
		now := p.Counts()
		if now.Requests == before.Requests {
			return now
		}
		before = now
		if time.Now().After(deadline) {
			p.t.Fatal("netfault: requests come without a rest")
		}
	}
}
