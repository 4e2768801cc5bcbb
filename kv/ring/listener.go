package ring

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
)

// Listener puts the node on the port of a server that mounts no handlers, such
// as gRPC's: the connections of peers, which begin with a request for the path
// of WithPath, are the node's, and all others are accepted from the listener
// that is returned, as they are. Clients of the server must speak first, as those
// of HTTP and gRPC do.
//
//	grpcServer.Serve(node.Listener(l))
//
// It reads the first bytes of a connection, so TLS belongs below it: give it the
// listener of tls.NewListener, whose NextProtos are "h2" and "http/1.1", and the
// server no credentials. Close closes l and waits for nobody; connections of
// peers end with the node.
func (n *Node) Listener(l net.Listener) net.Listener {
	s := &sorter{Listener: l, n: n, accepted: make(chan net.Conn)}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.running.Go(s.run)
	return s
}

// sortWithin bounds the wait for the beginning of a connection. Who has sent
// too little to be told apart by then is the server's, which has limits of its
// own.
const sortWithin = 10 * time.Second

// maxHead bounds the head of a request for the path of the ring.
const maxHead = 8 << 10

// sorter tells the connections of peers from others.
type sorter struct {
	net.Listener
	n        *Node
	accepted chan net.Conn
	life     context.Context // ends with l, for why
	end      context.CancelCauseFunc
	running  sync.WaitGroup
}

// run accepts until l is closed.
func (s *sorter) run() {
	for failures := 0; ; {
		c, err := s.Listener.Accept()
		if err == nil {
			failures = 0
			s.running.Go(func() { s.sort(c) })
			continue
		}
		var passing interface{ Temporary() bool }
		if !errors.As(err, &passing) || !passing.Temporary() { // as net/http and gRPC do: too many open files pass
			s.end(err)
			return
		}
		select {
		case <-time.After(backoff.Policy{Min: 5 * time.Millisecond, Max: time.Second}.Wait(failures)):
			failures++
		case <-s.life.Done():
			return
		}
	}
}

// sort finds out whose a connection is.
func (s *sorter) sort(c net.Conn) {
	stop := context.AfterFunc(s.life, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) }) // Close waits for nobody
	_ = c.SetReadDeadline(time.Now().Add(sortWithin))
	in := bufio.NewReaderSize(c, maxHead)
	var r *http.Request
	var err error
	peer := s.peer(in)
	if peer {
		r, err = http.ReadRequest(in)
	}
	switch {
	case !stop(): // closed, and its deadline spoilt
		c.Close()
	case !peer:
		_ = c.SetReadDeadline(time.Time{})
		early, _ := in.Peek(in.Buffered())
		select {
		case s.accepted <- &begun{Conn: c, early: bytes.NewReader(early)}:
		case <-s.life.Done():
			c.Close()
		}
	case err != nil || !upgrades(r):
		_, _ = io.WriteString(c, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: "+protocol+"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		c.Close()
	default:
		if !s.n.life.Go(func(context.Context) { s.n.serve(c, in, r) }) {
			c.Close()
		}
	}
}

// peer reports whether a connection begins with a whole request's head for the
// path of the ring. It returns at the first byte that says otherwise.
func (s *sorter) peer(in *bufio.Reader) bool {
	want := []byte(http.MethodGet + " " + path + " HTTP/1.1\r\n")
	for i := 1; i <= len(want); i++ {
		got, err := in.Peek(i)
		if err != nil || got[i-1] != want[i-1] {
			return false
		}
	}
	return true
}

// Accept returns the next connection that is not a peer's.
func (s *sorter) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.life.Done():
		return nil, context.Cause(s.life)
	}
}

// Close closes the listener and what nobody has accepted.
func (s *sorter) Close() error {
	s.end(net.ErrClosed)
	err := s.Listener.Close()
	s.running.Wait()
	return err
}

// begun is a connection of which the first bytes were read.
type begun struct {
	net.Conn
	early *bytes.Reader // nil: read
}

func (b *begun) Read(p []byte) (int, error) {
	if b.early != nil && b.early.Len() > 0 {
		return b.early.Read(p)
	}
	b.early = nil
	return b.Conn.Read(p)
}
