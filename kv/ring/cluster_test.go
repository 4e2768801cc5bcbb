package ring

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"instance": instance})
	leak.Main(m)
}

var testKey = []byte("a key that only the tests know")

// cluster is a ring whose nodes are in this process and meet over loopback.
type cluster struct {
	testing.TB
	d     discovery.Discovery
	nodes map[string]*testNode
}

type testNode struct {
	*Node
	kv.KV
	server  *httptest.Server
	entered discovery.Registration
}

func newCluster(t testing.TB, ids ...string) *cluster {
	t.Helper()
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	c := &cluster{t, d, map[string]*testNode{}}
	for _, id := range ids {
		c.join(id)
	}
	c.settle()
	return c
}

// quick is for tests that wait until a death is noticed.
var quick = WithDetection(time.Second)

// join starts a node and registers it.
func (c *cluster) join(id string, opts ...Option) *testNode {
	c.Helper()
	n := c.start(id, opts...)
	c.enter(n, n.server.Listener.Addr().String())
	return n
}

// start starts a node that is not registered.
func (c *cluster) start(id string, opts ...Option) *testNode {
	c.Helper()
	n, err := New(c.d, "cells", id, append([]Option{WithKey(testKey), WithDetection(10 * time.Second), WithInterval(200 * time.Millisecond)}, opts...)...)
	if err != nil {
		c.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/.ring", n)
	store, err := kv.New(Backend(n), kv.WithLazy())
	if err != nil {
		c.Fatal(err)
	}
	tn := &testNode{Node: n, KV: store, server: httptest.NewServer(mux)}
	c.nodes[id] = tn
	c.Cleanup(func() { c.kill(tn) })
	return tn
}

func (c *cluster) enter(n *testNode, address string) {
	c.Helper()
	r, err := c.d.Register(c.Context(), discovery.Instance{Service: "cells", ID: n.self, Address: address})
	if err != nil {
		c.Fatal(err)
	}
	n.entered = r
}

// kill ends a node without a word: the registry still names it.
func (c *cluster) kill(n *testNode) {
	delete(c.nodes, n.self)
	n.KV.Close()
	n.Node.Close()
	n.server.Close()
}

// settle waits until all nodes agree about who is there and have all that they
// own.
func (c *cluster) settle() {
	c.Helper()
	var all []member
	for _, n := range c.nodes {
		if n.entered != nil {
			all = append(all, member{id: n.self})
		}
	}
	want := place(all, 2).epoch
	c.eventually(60*time.Second, func() error {
		for _, n := range c.nodes {
			n.mu.RLock()
			v, missing := n.v.Load(), n.missing
			known := v != nil && v.epoch == want
			left := known && n.leftovers(v)
			n.mu.RUnlock()
			if !known || missing > 0 || left {
				return fmt.Errorf("%s: knows the %d members %v, lacks %d partitions, has leftovers %v", n.self, len(all), known, missing, left)
			}
		}
		return nil
	})
}

func (c *cluster) eventually(within time.Duration, f func() error) {
	c.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.Fatalf("not within %v: %v", within, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (n *testNode) put(t testing.TB, key, value string, opts ...kv.PutOption) {
	t.Helper()
	if _, err := n.KV.Put(t.Context(), key, []byte(value), opts...); err != nil {
		t.Fatal(err)
	}
}

// heldBy says on which nodes a key is stored.
func (c *cluster) heldBy(key string) (ids []string) {
	for id, n := range c.nodes {
		if _, ok := n.store.get(key, time.Now()); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func dialTo(address func(string) string) Option {
	return WithDial(func(ctx context.Context, network, to string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address(to))
	})
}
