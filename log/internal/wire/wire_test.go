package wire_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/log/internal/wire"
)

func TestMain(m *testing.M) { leak.Main(m) }

// server hands out the connections that are made to it.
func server(t *testing.T) (addr string, conns <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		for {
			select {
			case c := <-accepted:
				c.Close()
			default:
				return
			}
		}
	})
	return l.Addr().String(), accepted
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A connection that the server has closed is noticed before the next write, which goes
// over another one; what is answered meanwhile is thrown away.
func TestAClosedConnectionIsMadeAgain(t *testing.T) {
	addr, conns := server(t)
	c := &wire.Conn{Network: "tcp", Addr: addr}
	write := func(line string) {
		t.Helper()
		if n, err := c.Write(bounded(t), []byte(line)); n != len(line) || err != nil {
			t.Fatalf("%q: %d, %v", line, n, err)
		}
	}
	read := func(peer net.Conn, want string) {
		t.Helper()
		_ = peer.SetReadDeadline(time.Now().Add(30 * time.Second))
		line, err := bufio.NewReader(peer).ReadString('\n')
		if line != want || err != nil {
			t.Errorf("the server read %q, %v, want %q", line, err, want)
		}
	}
	if err := c.Ping(bounded(t)); err != nil {
		t.Fatal(err)
	}
	write("one\n")
	first := <-conns
	read(first, "one\n")
	_, _ = first.Write(make([]byte, 5000)) // more than is read at once
	write("two\n")
	read(first, "two\n")
	before, err := c.Get(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) { // until its end has come here
		now, err := c.Get(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		if now != before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a connection that the server closed is still used")
		}
	}
	write("three\n")
	second := <-conns
	defer second.Close()
	read(second, "three\n")
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := c.Get(bounded(t)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := (&wire.Conn{}).Close(); err != nil {
		t.Errorf("Close of one that was never made: %v", err)
	}
}

// Whoever reads answers keeps what comes, and makes the connection again by Drop.
func TestAnswersBelongToWhoReads(t *testing.T) {
	addr, conns := server(t)
	c := &wire.Conn{Network: "tcp", Addr: addr, Reads: true}
	defer c.Close()
	for range 2 {
		conn, err := c.Get(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := c.Get(bounded(t)); again != conn || err != nil {
			t.Errorf("another connection: %v", err)
		}
		peer := <-conns
		_, _ = peer.Write([]byte("answer"))
		peer.Close()
		b, err := io.ReadAll(conn)
		if string(b) != "answer" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
		c.Drop()
	}
}

// Each new connection is greeted; one whose greeting fails is closed and said.
func TestGreetings(t *testing.T) {
	addr, conns := server(t)
	bad := errors.New("bad")
	greeted := 0
	c := &wire.Conn{Network: "tcp", Addr: addr, Greet: func(_ context.Context, conn net.Conn) error {
		if greeted++; greeted == 1 {
			return bad
		}
		_, err := conn.Write([]byte("hi\n"))
		return err
	}}
	defer c.Close()
	if _, err := c.Write(bounded(t), []byte("x")); !errors.Is(err, bad) || !errors.Is(err, fault.Unavailable) {
		t.Errorf("a bad greeting: %v", err)
	}
	peer := <-conns
	if b, err := io.ReadAll(peer); len(b) != 0 || err != nil {
		t.Errorf("then the server read %q, %v", b, err)
	}
	peer.Close()
	if _, err := c.Write(bounded(t), []byte("x\n")); err != nil {
		t.Fatal(err)
	}
	peer = <-conns
	defer peer.Close()
	in := bufio.NewReader(peer)
	for _, want := range []string{"hi\n", "x\n"} {
		if line, err := in.ReadString('\n'); line != want || err != nil {
			t.Errorf("the server read %q, %v, want %q", line, err, want)
		}
	}
}

// A write ends with its context, whether at its deadline or before; after it the
// connection is another one. One that is well leaves no deadline behind.
func TestWritesEndWithTheirContext(t *testing.T) {
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 20*time.Millisecond)
		},
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(20*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		addr, conns := server(t)
		c := &wire.Conn{Network: "tcp", Addr: addr}
		short, cancel := context.WithTimeout(t.Context(), time.Hour)
		if _, err := c.Write(short, []byte("x")); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := c.Write(context.WithoutCancel(t.Context()), []byte("x")); err != nil {
			t.Errorf("%s: the next write: %v", name, err)
		}
		ctx, cancel := end(t.Context())
		n, err := c.Write(ctx, make([]byte, 64<<20)) // nobody reads
		cancel()
		if !errors.Is(err, fault.Unavailable) || !errors.Is(err, os.ErrDeadlineExceeded) || n == 64<<20 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		(<-conns).Close()
		if _, err := c.Write(bounded(t), []byte("x")); err != nil {
			t.Errorf("%s: over another connection: %v", name, err)
		}
		(<-conns).Close()
		if err := c.Close(); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
}

// Nobody listens: each call says so, and Close from elsewhere ends nothing twice.
func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := &wire.Conn{Network: "tcp", Addr: l.Addr().String()}
	if n, err := c.Write(bounded(t), []byte("x")); n != 0 || !errors.Is(err, fault.Unavailable) {
		t.Errorf("Write: %d, %v", n, err)
	}
	if err := c.Ping(bounded(t)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("Ping: %v", err)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
