package netfault

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// short is how long a test waits for what must not happen.
const short = 100 * time.Millisecond

// An echo server answers each line with itself.
type echo struct {
	addr  string
	lines atomic.Int64
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					e.lines.Add(1)
					if _, err := io.WriteString(c, line); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return e
}

// A client speaks to an echo server through a proxy.
type client struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{c.(*net.TCPConn), t, bufio.NewReader(c)}
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatalf("send %q: %v", line, err)
	}
}

func (c *client) receive(limit time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(limit))
	line, err := c.r.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

func (c *client) want(line string) {
	c.t.Helper()
	if got, err := c.receive(5 * time.Second); err != nil || got != line {
		c.t.Fatalf("got %q, %v; want %q", got, err, line)
	}
}

func (c *client) wantNothing() {
	c.t.Helper()
	if got, err := c.receive(short); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %q, %v; want nothing for %v", got, err, short)
	}
}

func (c *client) wantReset() {
	c.t.Helper()
	if got, err := c.receive(5 * time.Second); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("got %q, %v; want a reset", got, err)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

func TestForwards(t *testing.T) {
	p := New(t, newEcho(t).addr)
	c := dial(t, p)
	for i := range 3 {
		line := fmt.Sprint("line ", i)
		c.send(line)
		c.want(line)
	}
	if got, want := p.Counts(), (Counts{Accepted: 1, Open: 1, Requests: 3, Sent: 21, Received: 21}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
	c.CloseWrite()
	if got, err := c.receive(5 * time.Second); err != io.EOF {
		t.Errorf("after closing our side: got %q, %v; want the end of the stream", got, err)
	}
	eventually(t, "the connection is closed", func() bool { return p.Counts().Open == 0 })
}

func TestForwardsMuch(t *testing.T) {
	p := New(t, newEcho(t).addr)
	c := dial(t, p)
	line := strings.Repeat("x", 4<<20)
	go io.WriteString(c, line+"\n")
	got, err := c.receive(20 * time.Second)
	if err != nil || got != line {
		t.Errorf("got %d bytes, %v; want %d as sent", len(got), err, len(line))
	}
}

func TestHoldDeliversAfterHeal(t *testing.T) {
	for name, d := range map[string]Direction{"requests": Requests, "replies": Replies, "both": Both} {
		t.Run(name, func(t *testing.T) {
			e := newEcho(t)
			p := New(t, e.addr)
			before := dial(t, p)
			before.send("before")
			before.want("before")
			p.Hold(d)
			during := dial(t, p)
			before.send("held")
			during.send("held too")
			before.wantNothing()
			during.wantNothing()
			switch got := e.lines.Load(); {
			case d == Replies && got != 3:
				t.Errorf("the target got %d lines, want all 3", got)
			case d != Replies && got != 1:
				t.Errorf("the target got %d lines, want only the first", got)
			}
			p.Heal()
			before.want("held")
			during.want("held too")
		})
	}
}

func TestHoldKeepsAnEndFromPassing(t *testing.T) {
	e := newEcho(t)
	p := New(t, e.addr)
	c := dial(t, p)
	c.send("a")
	c.want("a")
	p.Hold(Requests)
	c.CloseWrite()
	c.wantNothing()
	p.Heal()
	if got, err := c.receive(5 * time.Second); err != io.EOF {
		t.Errorf("after Heal: got %q, %v; want the end of the stream", got, err)
	}
}

func TestDropLosesAndResetsOnHeal(t *testing.T) {
	e := newEcho(t)
	p := New(t, e.addr)
	loser, idle := dial(t, p), dial(t, p)
	idle.send("a")
	idle.want("a")
	p.Drop(Replies)
	loser.send("b")
	loser.wantNothing()
	if got := e.lines.Load(); got != 2 {
		t.Errorf("the target got %d lines, want 2", got)
	}
	p.Heal()
	loser.wantReset()
	idle.send("c")
	idle.want("c")
}

func TestDropRequests(t *testing.T) {
	e := newEcho(t)
	p := New(t, e.addr)
	c := dial(t, p)
	p.Drop(Requests)
	c.send("a")
	c.wantNothing()
	if got := e.lines.Load(); got != 0 {
		t.Errorf("the target got %d lines, want none", got)
	}
}

func TestDelay(t *testing.T) {
	p := New(t, newEcho(t).addr)
	c := dial(t, p)
	c.send("a")
	c.want("a")
	const delay = 60 * time.Millisecond
	p.Delay(delay, 0)
	began := time.Now()
	// Lines on their way overlap: ten cost what one does.
	for i := range 10 {
		c.send(fmt.Sprint(i))
	}
	for i := range 10 {
		c.want(fmt.Sprint(i))
	}
	if took := time.Since(began); took < 2*delay || took > 10*delay {
		t.Errorf("ten lines took %v, want about %v", took, 2*delay)
	}
}

func TestThrottle(t *testing.T) {
	p := New(t, newEcho(t).addr)
	c := dial(t, p)
	p.Throttle(100_000)
	began := time.Now()
	c.send(strings.Repeat("x", 20_000))
	if _, err := c.receive(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if took, want := time.Since(began), 200*time.Millisecond; took < want {
		t.Errorf("20 kB at 100 kB/s took %v, want %v or more", took, want)
	}
}

func TestReset(t *testing.T) {
	p := New(t, newEcho(t).addr)
	c := dial(t, p)
	c.send("a")
	c.want("a")
	p.Reset()
	c.wantReset()
	next := dial(t, p)
	next.send("b")
	next.want("b")
}

func TestCutReplies(t *testing.T) {
	e := newEcho(t)
	p := New(t, e.addr)
	p.CutReplies(1)
	c := dial(t, p)
	c.send("a")
	c.wantReset()
	if got := e.lines.Load(); got != 1 {
		t.Errorf("the target got %d lines, want 1", got)
	}
	next := dial(t, p)
	next.send("b")
	next.want("b")

	p.CutReplies(-1)
	for range 3 {
		c := dial(t, p)
		c.send("c")
		c.wantReset()
	}
	p.Heal()
	next = dial(t, p)
	next.send("d")
	next.want("d")
}

func TestRefuse(t *testing.T) {
	p := New(t, newEcho(t).addr)
	old := dial(t, p)
	old.send("a")
	old.want("a")
	p.Refuse()
	if c, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: got %v, %v; want a refusal", c, err)
	}
	old.send("b")
	old.want("b")
	p.Heal()
	c := dial(t, p)
	c.send("c")
	c.want("c")
}

func TestTargetAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := New(t, l.Addr().String())
	// The reset may come before dial has looked.
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestTargetResets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := New(t, l.Addr().String())
	c := dial(t, p)
	c.send("a")
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	reset(server.(*net.TCPConn))
	c.wantReset()
}

func TestCountsHTTPRequests(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	defer srv.Close()
	p := New(t, srv.Listener.Addr().String())
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	for range 5 {
		rsp, err := c.Post("http://"+p.Addr(), "text/plain", strings.NewReader("GET it\nPOST it\n\r\n\r\n"+strings.Repeat("y", 100_000)))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, rsp.Body)
		rsp.Body.Close()
	}
	if got := p.Counts().Requests; got != 5 {
		t.Errorf("got %d requests, want 5", got)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	e := newEcho(t)
	before := runtime.NumGoroutine()
	p := New(t, e.addr)
	for _, fault := range []func(){func() {}, func() { p.Hold(Both) }, func() { p.Drop(Both) }, func() { p.Delay(time.Hour, 0) }, func() { p.Throttle(1) }} {
		c := dial(t, p)
		c.send("a")
		fault()
		c.send("b")
		c = dial(t, p)
		c.send("c")
	}
	p.Close()
	p.Close()
	buf := make([]byte, 1<<20)
	if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "netfault.(*") {
		t.Errorf("Close returned before all was over:\n%s", stacks)
	}
	// The echo server's goroutines end with its connections.
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestConcurrentUse(t *testing.T) {
	p := New(t, newEcho(t).addr)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.DialTimeout("tcp", p.Addr(), time.Second)
				if err != nil {
					continue
				}
				c.SetDeadline(time.Now().Add(20 * time.Millisecond))
				fmt.Fprintln(c, "line")
				bufio.NewReader(c).ReadString('\n')
				c.Close()
			}
		})
	}
	faults := []func(){
		func() { p.Hold(Both) }, func() { p.Drop(Replies) }, func() { p.Delay(time.Millisecond, time.Millisecond) },
		func() { p.CutReplies(2) }, p.Reset, p.Refuse, func() { p.Throttle(1000) }, func() { p.Counts() },
	}
	for range 20 {
		for _, fault := range faults {
			fault()
			runtime.Gosched()
			p.Heal()
		}
	}
	close(stop)
	wg.Wait()
	c := dial(t, p)
	c.send("still here")
	c.want("still here")
}
