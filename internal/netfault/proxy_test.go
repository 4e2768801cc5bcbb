package netfault

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestForwards(t *testing.T) {
	p := New(t, newEcho(t).addr)
	c := dial(t, p)
	for i := range 3 {
		line := fmt.Sprint("line ", i)
		c.send(line)
		c.want(line)
	}
	// What has arrived is counted a moment later.
	eventually(t, "everything is counted", func() bool {
		return p.Counts() == Counts{Accepted: 1, Open: 1, Requests: 3, Sent: 21, Received: 21}
	})
	c.CloseWrite()
	if got, err := c.receive(30 * time.Second); err != io.EOF {
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
