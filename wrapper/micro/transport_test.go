package micro_test

import (
	"sync"

	"go-micro.dev/v5/transport"
)

// memoryTransport is go-micro's transport in memory, with one Close at a time:
// both ends of its connections close the same channel, and v5.3.0 panics when
// they do it at once.
type memoryTransport struct {
	transport.Transport
	mu *sync.Mutex
}

func newMemoryTransport() transport.Transport {
	return memoryTransport{transport.NewMemoryTransport(transport.Logger(silent)), new(sync.Mutex)}
}

func (m memoryTransport) Dial(addr string, opts ...transport.DialOption) (transport.Client, error) {
	c, err := m.Transport.Dial(addr, opts...)
	if err != nil {
		return nil, err
	}
	return memoryEnd{c, m.mu}, nil
}

func (m memoryTransport) Listen(addr string, opts ...transport.ListenOption) (transport.Listener, error) {
	l, err := m.Transport.Listen(addr, opts...)
	if err != nil {
		return nil, err
	}
	return memoryListener{l, m.mu}, nil
}

type memoryListener struct {
	transport.Listener
	mu *sync.Mutex
}

func (l memoryListener) Accept(serve func(transport.Socket)) error {
	return l.Listener.Accept(func(s transport.Socket) { serve(memoryEnd{s, l.mu}) })
}

// memoryEnd is one end of a connection.
type memoryEnd struct {
	transport.Socket
	mu *sync.Mutex
}

func (e memoryEnd) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.Socket.Close()
}
