package grpc

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// knowing is a router that knows some addresses.
type knowing struct {
	router.Router
	addrs []string
}

func (k *knowing) Stats(string) (all []router.NodeStats) {
	for _, a := range k.addrs {
		all = append(all, router.NodeStats{Address: a})
	}
	return all
}

// client is a Client of a service that has the addresses, whose connections are never made.
func client(addrs ...string) (*Client, *knowing) {
	k := &knowing{addrs: addrs}
	dial := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	return &Client{r: k, service: "s", o: options{drain: time.Hour}, dial: dial, conns: map[string]*conn{}, left: map[*conn]bool{}, pruned: time.Now()}, k
}

// A connection to an instance that is gone is closed when its last call has ended, or
// when the time to drain is over; one to an instance that is there stays.
func TestConnectionsToInstancesThatAreGone(t *testing.T) {
	const moment = time.Nanosecond
	for name, c := range map[string]struct {
		gone    bool
		calls   int           // on the connection
		wait    time.Duration // before it is looked whether the instance is there
		other   bool          // by a call to a new address, else by one to a known one
		then    func(c *Client, cn *conn)
		closed  bool
		dropped bool // a next call would get another connection
	}{
		"known":                 {false, 0, time.Hour, true, nil, false, false},
		"known, in use":         {false, 1, time.Hour, true, nil, false, false},
		"gone":                  {true, 0, pruneOnNew, true, nil, true, true},
		"gone, just before":     {true, 0, pruneOnNew - moment, true, nil, false, false},
		"gone, on use":          {true, 0, pruneOnUse, false, nil, true, true},
		"gone, before on use":   {true, 0, pruneOnUse - moment, false, nil, false, false},
		"in use":                {true, 1, time.Minute, true, nil, false, true},
		"in use, then released": {true, 1, time.Minute, true, func(c *Client, cn *conn) { c.release(cn) }, true, true},
		"in use twice, then once": {true, 2, time.Minute, true, func(c *Client, cn *conn) { c.release(cn) },
			false, true},
		"in use, before it is drained": {true, 1, time.Minute, true, func(*Client, *conn) { time.Sleep(time.Hour - moment) }, false, true},
		"in use, when it is drained":   {true, 1, time.Minute, true, func(*Client, *conn) { time.Sleep(time.Hour) }, true, true},
		"drained, then released":       {true, 1, time.Minute, true, func(c *Client, cn *conn) { time.Sleep(time.Hour); c.release(cn) }, true, true},
		"known, then released":         {false, 1, time.Minute, true, func(c *Client, cn *conn) { c.release(cn) }, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			cl, k := client("a", "b")
			b, err := cl.conn("b")
			if err != nil {
				t.Fatal(err)
			}
			cl.release(b)
			cn, err := cl.conn("a")
			if err != nil {
				t.Fatal(err)
			}
			for range c.calls - 1 {
				if again, err := cl.conn("a"); again != cn || err != nil {
					t.Errorf("%s: another connection: %v", name, err)
				}
			}
			if c.calls == 0 {
				cl.release(cn)
			}
			if c.gone {
				k.addrs = []string{"b"}
			}
			time.Sleep(c.wait)
			used := "b"
			if c.other {
				used = "c"
			}
			if _, err := cl.conn(used); err != nil {
				t.Fatal(err)
			}
			if c.then != nil {
				c.then(cl, cn)
			}
			synctest.Wait()
			if closed := cn.cc.GetState() == connectivity.Shutdown; closed != c.closed {
				t.Errorf("%s: closed %v, want %v", name, closed, c.closed)
			}
			if dropped := cl.conns["a"] != cn; dropped != c.dropped || cl.left[cn] != (c.dropped && !c.closed) {
				t.Errorf("%s: dropped %v, waits for its end %v", name, dropped, cl.left[cn])
			}
			if err := cl.Close(); err != nil {
				t.Errorf("%s: Close: %v", name, err)
			}
			for what, cn := range map[string]*conn{"it": cn, "the other": b} {
				if cn.cc.GetState() != connectivity.Shutdown {
					t.Errorf("%s: after Close %s is open", name, what)
				}
			}
			if _, err := cl.conn("a"); !errors.Is(err, fault.Closed) {
				t.Errorf("%s: a call after Close: %v", name, err)
			}
			time.Sleep(2 * time.Hour) // no timer is left that closes again
		})
	}
}

// Calls and streams that fail give their connection back.
func TestFailedCallsGiveTheirConnectionBack(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Register(t.Context(), discovery.Instance{ID: "a", Service: "s", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(router.WithDiscovery(d))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.WithoutCancel(t.Context()))
	w, err := wrapper.New(wrapper.WithName("caller"), wrapper.WithRouter(r))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.WithoutCancel(t.Context()))
	refuse := grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, io.ErrUnexpectedEOF })
	c, err := NewClient(w, "s", grpc.WithTransportCredentials(insecure.NewCredentials()), refuse)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if err := c.Invoke(t.Context(), "/s/M", nil, nil); err == nil {
			t.Error("a call succeeds without a server")
		}
		if _, err := c.NewStream(t.Context(), &grpc.StreamDesc{}, "/s/M"); err == nil {
			t.Error("a stream opens without a server")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for addr, cn := range c.conns {
		if cn.active != 0 {
			t.Errorf("%d calls are on %s in the end", cn.active, addr)
		}
	}
	if len(c.conns) != 1 {
		t.Errorf("%d connections", len(c.conns))
	}
}

// Serve closes its listener whatever happens, also one that may not serve any more, and
// Shutdown can be called then.
func TestServeClosesItsListener(t *testing.T) {
	w, err := wrapper.New(wrapper.WithName("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.WithoutCancel(t.Context()))
	register := func(grpc.ServiceRegistrar) {}
	for name, c := range map[string]struct {
		server *Server
		before func(s *Server)
		want   error // nil: any
	}{
		"no services":    {NewServer("", nil), func(*Server) {}, nil},
		"after Shutdown": {NewServer("", register), func(s *Server) { _ = s.Shutdown(t.Context()) }, grpc.ErrServerStopped},
		"again": {NewServer("", register), func(s *Server) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go s.Serve(l, w, nil)
			for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				s.mu.Lock()
				serves := s.server != nil
				s.mu.Unlock()
				if serves {
					return
				}
			}
		}, grpc.ErrServerStopped},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.before(c.server)
		if err := c.server.Serve(l, w, nil); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener is open: %v", name, err)
		}
		for range 2 {
			if err := c.server.Shutdown(t.Context()); err != nil {
				t.Errorf("%s: Shutdown: %v", name, err)
			}
		}
	}
}

// throwing is a router whose Pick panics.
type throwing struct {
	router.Router
	picked []chan struct{}
}

func (r throwing) Pick(context.Context, string, ...router.SelectOption) (router.Pick, error) {
	close(r.picked[0])
	panic("boom")
}

// A router of the user's own that panics where gRPC wants a connection ends no process.
func TestARouterMayPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		picked := make(chan struct{})
		(&routed{r: throwing{nil, []chan struct{}{picked}}, service: "s"}).ExitIdle()
		<-picked
		synctest.Wait()
	})
}
