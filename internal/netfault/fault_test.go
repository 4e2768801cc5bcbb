package netfault

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
			if d == Replies {
				eventually(t, "the target has all three lines", func() bool { return e.lines.Load() == 3 })
			} else if got := e.lines.Load(); got != 1 {
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
	if got, err := c.receive(30 * time.Second); err != io.EOF {
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
	eventually(t, "the reply is lost", func() bool { return lossy(p) == 1 })
	if got := e.lines.Load(); got != 2 {
		t.Errorf("the target got %d lines, want 2", got)
	}
	p.Heal()
	loser.wantReset()
	idle.send("c")
	idle.want("c")
}

// lossy is how many links have lost something.
func lossy(p *Proxy) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.lossy.Load() {
			n++
		}
	}
	return n
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
	// Lines on their way overlap: ten cost what one does. A busy machine shows it
	// once in a few tries.
	for try := 1; ; try++ {
		began := time.Now()
		for i := range 10 {
			c.send(fmt.Sprint(i))
		}
		for i := range 10 {
			c.want(fmt.Sprint(i))
		}
		took := time.Since(began)
		if took >= 2*delay && took <= 10*delay {
			return
		}
		if took < 2*delay || try == 20 {
			t.Fatalf("ten lines took %v, want about %v", took, 2*delay)
		}
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
