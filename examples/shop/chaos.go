package main

import (
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// faulty is the network of one instance, which can be broken on purpose. What it
// does is what callers see of a machine that is slow, dead, or badly connected;
// the instance itself does not know.
type faulty struct {
	net.Listener
	delay atomic.Int64 // of each packet, in nanoseconds

	mu     sync.Mutex
	conns  map[net.Conn]bool
	dead   bool
	closed chan struct{}
	close  sync.Once
}

func newFaulty(l net.Listener) *faulty {
	return &faulty{Listener: l, conns: map[net.Conn]bool{}, closed: make(chan struct{})}
}

// slow delays every packet by d.
func (f *faulty) slow(d time.Duration) { f.delay.Store(int64(d)) }

// cut closes the connections that there are.
func (f *faulty) cut() {
	f.mu.Lock()
	all := slices.Collect(maps.Keys(f.conns))
	f.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

// kill closes the connections and refuses new ones. Nothing is deregistered.
func (f *faulty) kill() {
	f.mu.Lock()
	f.dead = true
	f.mu.Unlock()
	_ = f.Listener.Close()
	f.cut()
}

// Accept of a dead listener waits until the server stops, as nothing comes.
func (f *faulty) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	f.mu.Lock()
	dead := f.dead
	if err == nil && !dead {
		c = &faultyConn{Conn: c, f: f}
		f.conns[c] = true
	}
	f.mu.Unlock()
	if !dead {
		return c, err
	}
	if err == nil {
		_ = c.Close()
	}
	<-f.closed
	return nil, net.ErrClosed
}

func (f *faulty) Close() error {
	f.close.Do(func() { close(f.closed) })
	err := f.Listener.Close()
	if errors.Is(err, net.ErrClosed) { // by kill
		return nil
	}
	return err
}

type faultyConn struct {
	net.Conn
	f *faulty
}

func (c *faultyConn) Write(b []byte) (int, error) {
	if d := c.f.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	return c.Conn.Write(b)
}

func (c *faultyConn) Close() error {
	c.f.mu.Lock()
	delete(c.f.conns, net.Conn(c))
	c.f.mu.Unlock()
	return c.Conn.Close()
}
