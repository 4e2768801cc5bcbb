// Package stream keeps connections for protocols that answer in the order of
// their requests, such as memcached's text protocol: it gives out idle ones
// that are alive, makes new ones, ends a round trip when its context ends, and
// throws away what may be out of step.
package stream

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Conn is a connection with buffers on both ways.
type Conn struct {
	net.Conn
	R    *bufio.Reader
	W    *bufio.Writer
	used time.Time
}

// NewConn puts buffers around nc.
func NewConn(nc net.Conn) *Conn {
	return &Conn{Conn: nc, R: bufio.NewReaderSize(nc, 16<<10), W: bufio.NewWriterSize(nc, 16<<10)}
}

// Pool keeps the connections to one server. Its fields are set before its first
// use.
type Pool struct {
	Dial    func(ctx context.Context) (*Conn, error)
	Timeout time.Duration // of one round trip
	MaxOpen int           // connections, at most; who comes then waits

	places sync.Once
	free   chan struct{} // has a token for each connection that may be in use

	mu     sync.Mutex
	idle   []*Conn // the one used last is the last
	closed bool
}

// fresh is how long after its last use a connection is taken without looking.
const fresh = 50 * time.Millisecond

// enter waits for a place among MaxOpen.
func (p *Pool) enter(ctx context.Context) error {
	p.places.Do(func() { p.free = make(chan struct{}, p.MaxOpen) })
	select {
	case p.free <- struct{}{}:
		return nil
	default:
	}
	limit := p.Timeout
	if d, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(d))
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case p.free <- struct{}{}:
		return nil
	case <-t.C:
		return fmt.Errorf("all %d connections are in use", p.MaxOpen)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Pool) take(ctx context.Context) (*Conn, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, net.ErrClosed
		}
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return p.Dial(ctx)
		}
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if time.Since(c.used) < fresh || alive(c.Conn) {
			return c, nil
		}
		c.Conn.Close()
	}
}

func (p *Pool) give(c *Conn) {
	c.used = time.Now()
	_ = c.SetDeadline(time.Time{}) // that of the call: alive must not meet it
	p.mu.Lock()
	if !p.closed && len(p.idle) < p.MaxOpen {
		p.idle = append(p.idle, c)
		c = nil
	}
	p.mu.Unlock()
	if c != nil {
		c.Conn.Close()
	}
}

// inStep is how many bytes may be written before anything is read. A server
// that is stuck with its answers does not read on.
const inStep = 32 << 10

// Trip makes one round trip: write puts size bytes of requests into c.W, read
// takes their answers out of c.R and says whether the connection may be used
// again. Both end with an error when ctx ends or the timeout has passed. An
// error of Trip itself means that nothing was sent.
func (p *Pool) Trip(ctx context.Context, size int, write func(c *Conn), read func(c *Conn, sent error) bool) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer func() { <-p.free }()
	c, err := p.take(ctx)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(p.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = c.SetDeadline(deadline)
	undisturbed := func() bool { return true }
	if ctx.Done() != nil {
		undisturbed = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	}
	var usable bool
	if size <= inStep {
		write(c)
		usable = read(c, c.W.Flush())
	} else {
		written := make(chan error, 1)
		go func() { write(c); written <- c.W.Flush() }()
		usable = read(c, nil)
		if !usable {
			c.Conn.Close() // frees the writer
		}
		usable = <-written == nil && usable
	}
	switch calm := undisturbed(); {
	case calm && usable:
		p.give(c)
	case calm && time.Now().Before(deadline):
		// It has died, as the idle ones may have: who tries again gets a new one.
		c.Conn.Close()
		p.Drop()
	default:
		c.Conn.Close()
	}
	return nil
}

// Drop closes the idle connections: they may lead to a server that is no longer
// the right one.
func (p *Pool) Drop() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.Conn.Close()
	}
}

// Close closes the idle connections, and those in use when they are given back.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Drop()
}
