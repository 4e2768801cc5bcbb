package statsd

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/metrics"
)

// A name that does not resolve is said with each packet, until it does; nothing is sent
// after Close.
func TestANameIsLookedUpWhenItIsNeeded(t *testing.T) {
	r, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := &lazyUDP{addr: "127.0.0.1:99999", every: time.Hour}
	for range 2 {
		if n, err := s.Send([]byte("a:1|c")); n != 0 || err == nil {
			t.Errorf("to a port that is none: %d, %v", n, err)
		}
	}
	s.addr = r.LocalAddr().String()
	for range 2 {
		if n, err := s.Send([]byte("a:1|c")); n != 5 || err != nil {
			t.Errorf("then: %d, %v", n, err)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if n, err := s.Send([]byte("a:1|c")); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %d, %v", n, err)
		}
	}
	if err := (&lazyUDP{}).Close(); err != nil {
		t.Errorf("Close of one that sent nothing: %v", err)
	}
}

// broken is a connection whose writes fail after some bytes.
type broken struct {
	net.Conn
	n      int
	err    error
	closed bool
}

func (c *broken) SetWriteDeadline(time.Time) error { return nil }
func (c *broken) Write([]byte) (int, error)        { return c.n, c.err }
func (c *broken) Close() error                     { c.closed = true; return nil }

// accept waits for a connection.
func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A packet goes over another connection if nothing of it went out; what began is not
// sent again, and what is slow has had its time.
func TestWhatIsSentAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, c := range map[string]struct {
		n     int
		err   error
		again bool
	}{
		"nothing":               {0, syscall.EPIPE, true},
		"a part":                {1, syscall.EPIPE, false},
		"all but the end":       {5, syscall.EPIPE, false},
		"nothing in time":       {0, os.ErrDeadlineExceeded, false},
		"not all of it in time": {1, os.ErrDeadlineExceeded, false},
	} {
		was := &broken{n: c.n, err: c.err}
		s := &stream{network: "tcp", addr: l.Addr().String(), end: "\n", timeout: time.Minute, conn: was}
		n, err := s.Send([]byte("a:1|c"))
		if !was.closed {
			t.Errorf("%s: the connection is kept", name)
		}
		if !c.again {
			if n != c.n || !errors.Is(err, c.err) || s.conn != nil {
				t.Errorf("%s: %d, %v, then over %v", name, n, err, s.conn)
			}
			continue
		}
		if n != 5 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		peer := accept(t, l)
		now := s.conn
		if n, err := s.Send([]byte("b:2|c")); n != 5 || err != nil || s.conn != now {
			t.Errorf("%s: the next one: %d, %v, over the same connection: %v", name, n, err, s.conn == now)
		}
		buf := make([]byte, 12)
		_ = peer.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.ReadFull(peer, buf); err != nil || string(buf) != "a:1|c\nb:2|c\n" {
			t.Errorf("%s: the receiver read %q, %v", name, buf, err)
		}
		peer.Close()
		for range 2 {
			_ = s.Close()
		}
		if n, err := s.Send([]byte("c:3|c")); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: after Close: %d, %v", name, n, err)
		}
	}
}

// Where the other connection fails too, both say why.
func TestBothFailuresAreSaid(t *testing.T) {
	s := &stream{network: "unix", addr: "/nowhere/s", timeout: time.Minute, conn: &broken{err: syscall.EPIPE}}
	if n, err := s.Send([]byte("a")); n != 0 || !errors.Is(err, syscall.EPIPE) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("%d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// What an export that has ended did not send counts as dropped, and goes with the next.
func TestAnExportThatHasEndedSendsNothing(t *testing.T) {
	var all []string
	d := &driver{options: options{packet: 100}, sender: senderFunc(func(b []byte) { all = append(all, string(b)) }), last: map[uint64]total{}}
	s := &metrics.Snapshot{Families: []metrics.Family{{Name: "c", Kind: metrics.KindCounter, Series: []metrics.Series{{ID: 1, Value: 3, Count: 3}}}}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if sent, err := d.Export(ended, s); sent.Dropped != 1 || sent.Packets != 0 || !errors.Is(err, context.Canceled) || !errors.Is(err, fault.Unavailable) {
		t.Errorf("%+v, %v", sent, err)
	}
	if sent, err := d.Export(t.Context(), s); sent.Packets != 1 || err != nil || len(all) != 1 || all[0] != "c:3|c" {
		t.Errorf("then %+v, %v: %q", sent, err, all)
	}
}
