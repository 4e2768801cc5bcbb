package ring

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/kv"
)

func TestANodeThatIsNotRegisteredReadsAndWrites(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a", "b", "c")
	client := c.start("client")
	for i := range 100 {
		client.put(t, fmt.Sprint(i), "v")
	}
	for i := range 100 {
		key := fmt.Sprint(i)
		if item, err := client.Get(t.Context(), key); err != nil || string(item.Value) != "v" {
			t.Fatalf("Get(%q) = %q, %v", key, item.Value, err)
		}
		ids := c.heldBy(key)
		if len(ids) != 2 {
			t.Fatalf("%q is on %q, want two nodes", key, ids)
		}
		for _, id := range ids {
			if id == "client" {
				t.Fatalf("%q is on the node that is not registered", key)
			}
		}
	}
}

// TestANodeHearsOfDeletesOfWhatItDoesNotOwn: it may keep that for longer than tombstones
// live. It hears of what it has only. One that is not registered never drops anything.
func TestANodeHearsOfDeletesOfWhatItDoesNotOwn(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a", "b")
	a, out := c.nodes["a"], c.start("out").Node
	key, sibling := "key 0", ""
	for i := 1; sibling == ""; i++ {
		if name := fmt.Sprint("key ", i); partition(hash(name)) == partition(hash(key)) {
			sibling = name
		}
	}
	a.put(t, key, "old")
	out.store.merge(key, a.store.latest(key))
	a.put(t, sibling, "new")
	if err := a.KV.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	c.eventually(30*time.Second, func() error {
		if rec := out.store.latest(key); !rec.dead {
			return fmt.Errorf("it has %+v", rec)
		}
		return nil
	})
	if rec := out.store.latest(sibling); rec.version != 0 {
		t.Errorf("it took %+v, which it does not own", rec)
	}
}

func TestAReadDoesNotWaitForAHungPrimary(t *testing.T) {
	leak.Check(t)
	c, each := cutOff(t, WithDetection(time.Minute)) // so that nobody finds out
	a := c.nodes["a"]
	const keys = 60
	for i := range keys {
		a.put(t, fmt.Sprint(i), "v")
	}
	each(func(p *netfault.Proxy) { p.Hold(netfault.Both) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			if item, err := a.Get(ctx, fmt.Sprint(i)); err != nil || string(item.Value) != "v" {
				t.Errorf("Get(%d) = %q, %v", i, item.Value, err)
			}
		})
	}
	wg.Wait()
	each(func(p *netfault.Proxy) { p.Heal() })
	c.settle()
}

func TestConditionsStayExactOnEveryNode(t *testing.T) {
	for _, ids := range [][]string{{"alone"}, {"a", "b", "c"}} {
		t.Run(fmt.Sprint(len(ids)), func(t *testing.T) { exact(t, newCluster(t, ids...)) })
	}
}

func exact(t *testing.T, c *cluster) {
	leak.Check(t)
	var wg sync.WaitGroup
	var won atomic.Int64
	for _, n := range c.nodes {
		for range 12 / len(c.nodes) {
			wg.Go(func() {
				for range 25 {
					for {
						item, err := n.Get(t.Context(), "n")
						opt := kv.IfRevision(item.Revision)
						if err != nil && !errors.Is(err, kv.ErrNotFound) {
							t.Error(err)
							return
						}
						_, err = n.Put(t.Context(), "n", append([]byte("x"), item.Value...), opt)
						if err == nil {
							won.Add(1)
							break
						}
						if !errors.Is(err, kv.ErrConflict) {
							t.Error(err)
							return
						}
					}
				}
			})
		}
	}
	wg.Wait()
	if item, err := c.any().Get(t.Context(), "n"); err != nil || int64(len(item.Value)) != won.Load() || won.Load() != 300 {
		t.Errorf("%d appended, %d there, %v", won.Load(), len(item.Value), err)
	}
}

func (c *cluster) any() *testNode {
	for _, n := range c.nodes {
		return n
	}
	return nil
}

func TestAPrimaryAsksOthersAfterItWasOutOfReach(t *testing.T) {
	leak.Check(t)
	c := newCluster(t)
	c.join("a", WithInterval(time.Minute))
	c.join("b", WithInterval(time.Minute))
	c.settle()
	p := partition(hash("k"))
	_, _, v := c.nodes["a"].stands(p, time.Now())
	primary, replica := c.nodes[v.owners[p][0]], c.nodes[v.owners[p][1]]
	primary.put(t, "k", "1")
	replica.store.merge("k", record{value: []byte("2"), version: replica.clock.next(0)})
	if item, err := primary.Get(t.Context(), "k"); err != nil || string(item.Value) != "1" {
		t.Fatalf("Get = %q, %v, want what the primary has", item.Value, err)
	}
	primary.connected(replica.self, ">")
	if item, err := primary.Get(t.Context(), "k"); err != nil || string(item.Value) != "2" {
		t.Errorf("after a connection was made again: Get = %q, %v, want what the replica has", item.Value, err)
	}
	c.settle()
}

func TestANodeThatOwnsNothingRefuses(t *testing.T) {
	c := newCluster(t, "a")
	client := c.start("client")
	if status, _ := client.apply(1, 0, "k", record{version: 1}); status != stMoved {
		t.Errorf("apply: status %d, want moved", status)
	}
	if _, err := client.Node.get(t.Context(), "k"); err != errMoved {
		t.Errorf("get: %v, want moved", err)
	}
	if _, _, err := client.decide(t.Context(), write{Write: kv.Write{Key: "k"}, kind: kindPut}); err != errMoved {
		t.Errorf("decide: %v, want moved", err)
	}
}

func TestAReplicaWithOtherOwnersInMindRefuses(t *testing.T) {
	c := newCluster(t, "a", "b")
	_, _, v := c.nodes["a"].stands(partition(hash("k")), time.Now())
	p := partition(hash("k"))
	replica := c.nodes[v.owners[p][1]]
	if status, _ := replica.apply(v.claims[p]+1, 0, "k", record{version: 5}); status != stMoved {
		t.Errorf("another claim: status %d, want moved", status)
	}
	if status, _ := replica.apply(v.claims[p], 0, "k", record{version: 5, value: []byte("v")}); status != stOK {
		t.Errorf("the same claim: status %d, want taken", status)
	}
	if status, _ := replica.apply(v.claims[p], 4, "k", record{version: 6}); status != stAhead {
		t.Errorf("a base that is older than what is there: status %d, want ahead", status)
	}
}

func TestPeersOverMutualTLS(t *testing.T) {
	leak.Check(t)
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	// httptest's certificate, for 127.0.0.1, serves both sides here.
	model := httptest.NewTLSServer(nil)
	cert := model.TLS.Certificates[0]
	roots := x509.NewCertPool()
	roots.AddCert(model.Certificate())
	model.Close()
	stores, nodes := make([]kv.KV, 2), make([]*Node, 2)
	for i := range stores {
		id := fmt.Sprint("n", i)
		node, err := New(d, "cells", id, WithKey(testKey), WithTLS(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}))
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = node
		server := httptest.NewUnstartedServer(node)
		server.EnableHTTP2 = true // as a service's server may
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}
		server.StartTLS()
		defer server.Close()
		defer node.Close()
		if _, err := d.Register(t.Context(), discovery.Instance{Service: "cells", ID: id, Address: server.Listener.Addr().String()}); err != nil {
			t.Fatal(err)
		}
		if stores[i], err = kv.New(Backend(node)); err != nil {
			t.Fatal(err)
		}
		defer stores[i].Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	meet(ctx, t, nodes...)
	for i := range 20 {
		key := fmt.Sprint(i)
		if _, err := stores[0].Put(ctx, key, []byte("v")); err != nil {
			t.Fatal(err)
		}
		if item, err := stores[1].Get(ctx, key); err != nil || string(item.Value) != "v" {
			t.Fatalf("Get(%q) = %q, %v", key, item.Value, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAVersionIsGreaterThanAllThatWereSeen(t *testing.T) {
	a, b := &clock{node: 1}, &clock{node: 2}
	last := uint64(0)
	for range 5000 { // more than a millisecond has room for
		v := a.next(last)
		if v <= last {
			t.Fatalf("%d after %d", v, last)
		}
		last = v
	}
	ahead := last + 1<<40 // of a node whose clock is ahead
	b.seen(ahead)
	if v := b.next(0); v <= ahead {
		t.Errorf("%d after %d was seen", v, ahead)
	}
	if v := a.next(ahead); v <= ahead {
		t.Errorf("%d above %d", v, ahead)
	}
	if d := time.Since(timeOf((&clock{}).next(0))); d < -time.Second || d > time.Minute {
		t.Errorf("a version tells a time %v ago", d)
	}
}

func TestDigestsNameTheContent(t *testing.T) {
	a, b := newStore(1<<20, time.Hour), newStore(1<<20, time.Hour)
	defer a.close()
	defer b.close()
	now := (&clock{}).next(0)
	p := partition(hash("k"))
	a.merge("k", record{version: now, value: []byte("1")})
	a.merge("k", record{version: now + 1<<10, value: []byte("2")})
	a.merge("k", record{version: now, value: []byte("old")})
	b.merge("k", record{version: now + 1<<10, value: []byte("2")})
	if x, y := a.digests[p].Load(), b.digests[p].Load(); x != y || x == 0 {
		t.Errorf("digests of the same content are %x and %x", x, y)
	}
	a.merge("k", record{version: now + 2<<10, dead: true})
	if x, y := a.digests[p].Load(), b.digests[p].Load(); x == y || x == 0 {
		t.Errorf("digests with and without a tombstone are %x and %x", x, y)
	}
	a.merge("k", record{version: now + 1<<10, value: []byte("late")})
	if _, ok := a.get("k", time.Now()); ok {
		t.Error("an older write came behind the tombstone")
	}
	a.drop(func(uint16, uint64) bool { return false })
	if x, n := a.digests[p].Load(), a.counts[p].Load(); x != 0 || n != 0 {
		t.Errorf("nothing is left, but the digest is %x and the count %d", x, n)
	}
}
