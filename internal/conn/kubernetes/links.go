package kubernetes

import (
	"net"
	"sync"
)

// links are the connections that are open. Close of a Conn closes them all: the
// transport closes those that are idle at that moment only, and not one that is
// made for a call that was given up.
type links struct {
	mu     sync.Mutex
	all    map[*link]bool
	closed bool
}

type link struct {
	net.Conn
	of *links
}

// add takes over a new connection. It is closed at once if the links are.
func (l *links) add(nc net.Conn) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		nc.Close()
		return nil, errClosed
	}
	if l.all == nil {
		l.all = map[*link]bool{}
	}
	one := &link{nc, l}
	l.all[one] = true
	return one, nil
}

func (l *links) close() {
	l.mu.Lock()
	all := l.all
	l.all, l.closed = nil, true
	l.mu.Unlock()
	for one := range all {
		one.Conn.Close()
	}
}

func (one *link) Close() error {
	one.of.mu.Lock()
	delete(one.of.all, one)
	one.of.mu.Unlock()
	return one.Conn.Close()
}
