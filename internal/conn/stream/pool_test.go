package stream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// echo is a server that answers each line with itself; "hush" has no answer, and
// "bye" is the last one.
type echo struct {
	net.Listener
	mu     sync.Mutex
	conns  []net.Conn
	ended  sync.WaitGroup
	hushes atomic.Int64
}

func newEcho(t *testing.T) *echo {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l}
	e.ended.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.conns = append(e.conns, c)
			e.mu.Unlock()
			e.ended.Go(func() {
				defer c.Close()
				for r := bufio.NewReaderSize(c, 1<<20); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					if line == "hush\n" {
						e.hushes.Add(1)
						continue
					}
					if _, err := io.WriteString(c, line); err != nil || line == "bye\n" {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); e.cut(); e.ended.Wait() })
	return e
}

func (e *echo) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.conns {
		c.Close()
	}
}

// accepted is how many connections there were.
func (e *echo) accepted() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

func (e *echo) pool(t *testing.T, most int) *Pool {
	p := &Pool{MaxOpen: most, Timeout: 20 * time.Second, Dial: func(ctx context.Context) (*Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.Addr().String())
		if err != nil {
			return nil, err
		}
		return NewConn(nc), nil
	}}
	t.Cleanup(p.Close)
	return p
}

// ask sends a line and returns the answer.
func ask(ctx context.Context, p *Pool, line string) (answer string, err error) {
	var failed error
	err = p.Trip(ctx, len(line)+1, func(c *Conn) { c.W.WriteString(line + "\n") }, func(c *Conn, sent error) bool {
		if failed = sent; failed == nil {
			answer, failed = c.R.ReadString('\n')
		}
		return failed == nil
	})
	return strings.TrimSuffix(answer, "\n"), errors.Join(err, failed)
}

func TestConnectionsAreKept(t *testing.T) {
	e := newEcho(t)
	p := e.pool(t, 3)
	for range 5 {
		if got, err := ask(t.Context(), p, "a"); got != "a" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if n := e.accepted(); n != 1 {
		t.Errorf("%d connections for five calls, want 1", n)
	}
	// A line that is longer than what may be written before anything is read.
	for _, n := range []int{inStep - 1, inStep, inStep + 1, 1 << 20} {
		long := strings.Repeat("x", n-1)
		if got, err := ask(t.Context(), p, long); got != long || err != nil {
			t.Errorf("%d bytes: %d bytes came back, %v", n, len(got), err)
		}
	}
	if n := e.accepted(); n != 1 {
		t.Errorf("%d connections after large requests, want 1", n)
	}
}

// A connection that the server has closed is not used, and one that broke under a
// request takes those with it that are idle.
func TestConnectionsThatAreGoneAreNotUsed(t *testing.T) {
	e := newEcho(t)
	p := e.pool(t, 3)
	if got, err := ask(t.Context(), p, "bye"); got != "bye" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	idle := p.idle[0]
	idle.used = time.Now().Add(-time.Minute) // long enough to be looked at
	for deadline := time.Now().Add(60 * time.Second); alive(idle.Conn); {
		if time.Now().After(deadline) {
			t.Fatal("a connection that the server has closed looks alive")
		}
		<-time.After(time.Millisecond)
	}
	if got, err := ask(t.Context(), p, "a"); got != "a" || err != nil || e.accepted() != 2 {
		t.Errorf("%q, %v on connection %d, want it on the second", got, err, e.accepted())
	}
	if _, err := idle.Conn.Write([]byte("a")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the first is not closed: %v", err)
	}
	p.idle[0].used = time.Now().Add(-time.Minute)
	if got, err := ask(t.Context(), p, "a"); got != "a" || err != nil || e.accepted() != 2 {
		t.Errorf("%q, %v on connection %d, want the second once more: it is alive", got, err, e.accepted())
	}
	one, two := mustDial(t, p), mustDial(t, p)
	p.give(two)
	p.give(one)
	one.Conn.Close()
	if _, err := ask(t.Context(), p, "a"); err == nil {
		t.Error("a connection that is closed answers")
	}
	if len(p.idle) != 0 {
		t.Errorf("%d idle connections after one has died, want none", len(p.idle))
	}
}

func mustDial(t *testing.T, p *Pool) *Conn {
	t.Helper()
	c, err := p.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A call ends with its context, by its deadline or the timeout, whichever is first; the
// connection, on which an answer may come, is thrown away.
func TestTripsEndWithTheirContext(t *testing.T) {
	e := newEcho(t)
	for name, c := range map[string]struct {
		timeout bool // of the pool
		ctx     func(context.Context, time.Duration) (context.Context, context.CancelFunc)
	}{
		"deadline": {false, context.WithTimeout},
		"cancel": {false, func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(after, cancel)
			return ctx, cancel
		}},
		"timeout": {true, func(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
			return context.WithoutCancel(ctx), func() {}
		}},
	} {
		var p *Pool
		var err error
		for after, before := 20*time.Millisecond, e.hushes.Load(); e.hushes.Load() == before; after *= 4 { // long enough to ask
			p = e.pool(t, 2)
			p.Timeout = time.Hour
			if c.timeout {
				p.Timeout = after
			}
			p.give(mustDial(t, p))
			p.give(mustDial(t, p))
			ctx, cancel := c.ctx(t.Context(), after)
			_, err = ask(ctx, p, "hush")
			cancel()
		}
		if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%s: %v, want the end of the time", name, err)
		}
		if len(p.idle) != 1 {
			t.Errorf("%s: %d connections are idle, want the other one", name, len(p.idle))
		}
		p.Timeout = 20 * time.Second
		if got, err := ask(t.Context(), p, "a"); got != "a" || err != nil {
			t.Errorf("%s: the next call has %q, %v", name, got, err)
		}
	}
}

// deadline has a deadline of which nobody is notified.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

func TestPlacesAreBounded(t *testing.T) {
	e := newEcho(t)
	p := e.pool(t, 1)
	inside, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- p.Trip(t.Context(), 0, func(*Conn) {}, func(*Conn, error) bool { close(inside); <-leave; return true })
	}()
	<-inside
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ask(over, p, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("who is cancelled: %v", err)
	}
	if _, err := ask(deadline{t.Context(), time.Now()}, p, "a"); err == nil || !strings.Contains(err.Error(), "all 1 connections are in use") {
		t.Errorf("whose time is over: %v", err)
	}
	p.Timeout = time.Millisecond
	if _, err := ask(t.Context(), p, "a"); err == nil || !strings.Contains(err.Error(), "all 1 connections are in use") {
		t.Errorf("who has waited: %v", err)
	}
	p.Timeout = 20 * time.Second
	waits := make(chan error, 1)
	go func() { _, err := ask(t.Context(), p, "a"); waits <- err }()
	close(leave)
	if err := errors.Join(<-done, <-waits); err != nil {
		t.Errorf("who comes next: %v", err)
	}
	if n := e.accepted(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestClose(t *testing.T) {
	e := newEcho(t)
	p := e.pool(t, 2)
	idle, used := mustDial(t, p), (*Conn)(nil)
	p.give(idle)
	err := p.Trip(t.Context(), 0, func(c *Conn) { used = c }, func(*Conn, error) bool {
		p.give(mustDial(t, p))
		p.Close()
		p.Close()
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := used.Conn.Write([]byte("a\n")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that was in use is open: %v", err)
	}
	if len(p.idle) != 0 {
		t.Errorf("%d are idle", len(p.idle))
	}
	if _, err := ask(t.Context(), p, "a"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed pool: %v", err)
	}
	refused := &Pool{MaxOpen: 1, Timeout: time.Second, Dial: func(context.Context) (*Conn, error) { return nil, io.EOF }}
	for range 2 { // its place is free again
		if err := refused.Trip(t.Context(), 0, nil, nil); err != io.EOF {
			t.Errorf("who can't connect: %v", err)
		}
	}
}

func TestNoMoreAreIdleThanMayBeOpen(t *testing.T) {
	e := newEcho(t)
	p := e.pool(t, 2)
	conns := []*Conn{mustDial(t, p), mustDial(t, p), mustDial(t, p)}
	for _, c := range conns {
		p.give(c)
	}
	if len(p.idle) != 2 || p.idle[0] != conns[0] || p.idle[1] != conns[1] {
		t.Errorf("%d are idle, want the first two", len(p.idle))
	}
	if _, err := conns[2].Conn.Write([]byte("a")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("one too many is open: %v", err)
	}
	if c, err := p.take(t.Context()); c != conns[1] || err != nil {
		t.Errorf("taken is not the one used last: %v", err)
	} else {
		c.Conn.Close()
	}
}

// A large request to a server that does not read ends when the answer is known to be
// none.
func TestALargeRequestThatNobodyReads(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &Pool{MaxOpen: 1, Timeout: time.Hour, Dial: func(ctx context.Context) (*Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return NewConn(nc), nil
	}}
	defer p.Close()
	var sent error
	err = p.Trip(t.Context(), 64<<20, func(c *Conn) { _, sent = c.W.Write(make([]byte, 64<<20)) }, func(*Conn, error) bool { return false })
	if err != nil || sent == nil || len(p.idle) != 0 {
		t.Errorf("%v, sent with %v, and %d connections are idle", err, sent, len(p.idle))
	}
}
