package ring

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/kvtest"
)

// TestConformance opens each store on another node.
func TestConformance(t *testing.T) {
	c := newCluster(t, "one", "two", "three")
	nodes := []*testNode{c.nodes["one"], c.nodes["two"], c.nodes["three"]}
	for i := range 50 { // what nodes start at first need is no leak of a case
		nodes[0].put(t, fmt.Sprint(i), "v", kv.TTL(time.Hour))
		if err := nodes[0].Delete(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	var turn atomic.Int64
	kvtest.Run(t, kvtest.Harness{Open: func(t testing.TB, opts ...kv.Option) kv.KV {
		store, err := kv.New(append(opts, Backend(nodes[turn.Add(1)%3].Node))...)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}})
}

func members(n int) (all []member) {
	for i := range n {
		all = append(all, member{id: fmt.Sprintf("instance-%d", i)})
	}
	return all
}

func TestPlacementIsAFunctionOfTheMembers(t *testing.T) {
	all := members(7)
	want := place(all, 3)
	slices.Reverse(all)
	if got := place(all, 3); !reflect.DeepEqual(got, want) {
		t.Error("another order of the members gave another table")
	}
	all[3].weight = 5
	if got := place(all, 3); got.epoch == want.epoch {
		t.Error("another weight gave the same epoch")
	}
	for p, owners := range want.owners {
		if len(owners) != 3 || owners[0] == owners[1] || owners[1] == owners[2] || owners[0] == owners[2] {
			t.Fatalf("partition %d has owners %q, want three different ones", p, owners)
		}
	}
	// Processes of other versions have to agree: these never change.
	if hash("key") != 0xcf8c79838f3b3030 || partition(hash("key")) != 0x030 {
		t.Errorf("hash of \"key\" is %#x", hash("key"))
	}
}

func TestAJoinMovesItsShareToTheNewMemberOnly(t *testing.T) {
	for _, n := range []int{3, 5, 10, 20} {
		moved, fresh := 0.0, members(n + 1)[n].id
		const rounds = 8 // of other names: what is to hold is the mean
		for round := range rounds {
			all := members(n + 1)
			for i := range all {
				all[i].id = fmt.Sprint(all[i].id, "/", round)
			}
			before, after := place(all[:n], 2), place(all, 2)
			for p := range before.owners {
				if was, is := before.owners[p][0], after.owners[p][0]; was != is {
					if moved++; is != fmt.Sprint(fresh, "/", round) {
						t.Fatalf("partition %d moved from %s to %s, which is not new", p, was, is)
					}
				}
			}
		}
		ideal := 1 / float64(n+1)
		if share := moved / partitions / rounds; math.Abs(share/ideal-1) > 0.15 {
			t.Errorf("%d to %d members: %.4f moved, want %.4f ± 15 %%", n, n+1, share, ideal)
		}
	}
}

func TestWeightIsAShare(t *testing.T) {
	all := members(4)
	all[2].weight = 3
	got := 0
	for _, owners := range place(all, 2).owners {
		if owners[0] == all[2].id {
			got++
		}
	}
	if share := float64(got) / partitions; math.Abs(share-0.5) > 0.03 {
		t.Errorf("a member of weight 3 among three of weight 1 is primary of %.3f, want 0.5", share)
	}
}

func TestACrashLosesNothingAcknowledged(t *testing.T) {
	leak.Check(t)
	c := newCluster(t)
	for _, id := range five {
		c.join(id, quick)
	}
	c.settle()
	const keys, writers = 4000, 32
	victim := c.nodes["c"]
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		acked = map[string]string{}
		next  atomic.Int64
	)
	others := []*testNode{c.nodes["a"], c.nodes["b"], c.nodes["d"], c.nodes["e"]}
	for w := range writers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > keys {
					return
				}
				if i == keys/2 {
					c.kill(victim)
				}
				key, value := fmt.Sprint("key ", i), fmt.Sprint("value ", i)
				if _, err := others[w%4].Put(t.Context(), key, []byte(value)); err == nil {
					mu.Lock()
					acked[key] = value
					mu.Unlock()
				} else if !errors.Is(err, kv.ErrUnknownOutcome) && !errors.Is(err, kv.ErrUnavailable) {
					t.Errorf("Put(%q): %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	if len(acked) < keys*9/10 {
		t.Fatalf("only %d of %d writes were acknowledged", len(acked), keys)
	}
	var lost atomic.Int64
	check := func() {
		work := make(chan string)
		for w := range writers {
			wg.Go(func() {
				for key := range work {
					if item, err := others[w%4].Get(t.Context(), key); err != nil || string(item.Value) != acked[key] {
						if lost.Add(1) < 5 {
							t.Errorf("Get(%q) = %q, %v", key, item.Value, err)
						}
					}
				}
			})
		}
		for key := range acked {
			work <- key
		}
		close(work)
		wg.Wait()
	}
	check()
	if err := victim.entered.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.settle()
	check()
	for key := range acked {
		if ids := c.heldBy(key); len(ids) != 2 {
			t.Fatalf("after the crash %q is on %q, want two nodes", key, ids)
		}
	}
	t.Logf("%d acknowledged, %d lost", len(acked), lost.Load())
}

func TestNoReadFailsWhileNodesJoinAndLeave(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a", "b", "c")
	const keys = 2000
	for i := range keys {
		c.nodes["a"].put(t, fmt.Sprint(i), fmt.Sprint("v", i))
	}
	readers := []*testNode{c.nodes["a"], c.nodes["b"], c.nodes["c"]}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var reads atomic.Int64
	for r := range 6 {
		wg.Go(func() {
			for i := r; ctx.Err() == nil; i += 7 {
				key := fmt.Sprint(i % keys)
				if item, err := readers[r%3].Get(t.Context(), key); err != nil || string(item.Value) != "v"+key {
					t.Errorf("Get(%q) = %q, %v", key, item.Value, err)
					return
				}
				reads.Add(1)
			}
		})
	}
	c.join("d")
	c.settle()
	c.join("e")
	c.settle()
	e := c.nodes["e"]
	if err := e.entered.Update(t.Context(), func(in *discovery.Instance) { in.Status = discovery.Draining }); err != nil {
		t.Fatal(err)
	}
	drained, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := e.Drained(drained); err != nil {
		t.Fatal(err)
	}
	if err := e.entered.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.kill(e)
	c.settle()
	stop()
	wg.Wait()
	t.Logf("%d reads", reads.Load())
	for i := range keys {
		if ids := c.heldBy(fmt.Sprint(i)); len(ids) != 2 {
			t.Fatalf("key %d is on %q, want two nodes", i, ids)
		}
	}
}

// cutOff returns a cluster of a, b and c where all connections from and to c
// pass proxies.
func cutOff(t *testing.T, opts ...Option) (c *cluster, proxies func(func(*netfault.Proxy))) {
	c = newCluster(t)
	opts = append([]Option{WithDetection(400 * time.Millisecond)}, opts...)
	a, b := c.join("a", opts...), c.join("b", opts...)
	way := map[string]*netfault.Proxy{}
	for _, n := range []*testNode{a, b} {
		to := n.server.Listener.Addr().String()
		way[to] = netfault.New(t, to)
	}
	last := c.start("c", append(opts, dialTo(func(to string) string { return way[to].Addr() }))...)
	in := netfault.New(t, last.server.Listener.Addr().String())
	c.enter(last, in.Addr())
	c.settle()
	return c, func(f func(*netfault.Proxy)) {
		f(in)
		for _, p := range way {
			f(p)
		}
	}
}

func TestADeletedKeyStaysDeletedWhenANodeComesBack(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []Option
		wait time.Duration // until the tombstones are gone
	}{
		{"tombstones", nil, 0},
		{"longer than tombstones live", []Option{WithTombstones(time.Second), WithInterval(50 * time.Millisecond)}, 1500 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leak.Check(t)
			c, each := cutOff(t, tc.opts...)
			a, b, last := c.nodes["a"], c.nodes["b"], c.nodes["c"]
			const keys = 300
			for i := range keys {
				a.put(t, fmt.Sprint(i), "old")
			}
			each(func(p *netfault.Proxy) { p.Hold(netfault.Both) })
			for i := range keys {
				key := fmt.Sprint(i)
				c.eventually(30*time.Second, func() error { return a.Delete(t.Context(), key) })
			}
			held := 0
			for i := range keys {
				if _, ok := last.store.get(fmt.Sprint(i), time.Now()); ok {
					held++
				}
			}
			if held < keys/2 {
				t.Fatalf("the node that is cut off has %d keys: nothing is shown", held)
			}
			if tc.wait > 0 {
				over := time.Now().Add(tc.wait)
				c.eventually(30*time.Second, func() error {
					if time.Now().Before(over) {
						return errors.New("tombstones still live")
					}
					return nil
				})
			}
			each(func(p *netfault.Proxy) { p.Heal() })
			c.settle()
			for i := range keys {
				for _, n := range []*testNode{a, b, last} {
					if item, err := n.Get(t.Context(), fmt.Sprint(i)); !errors.Is(err, kv.ErrNotFound) {
						t.Fatalf("%s: key %d is back: %q, %v", n.self, i, item.Value, err)
					}
				}
				if ids := c.heldBy(fmt.Sprint(i)); len(ids) > 0 {
					t.Fatalf("key %d is back on %q", i, ids)
				}
			}
		})
	}
}

func TestAMinorityCannotWrite(t *testing.T) {
	leak.Check(t)
	c, each := cutOff(t)
	last := c.nodes["c"]
	each(func(p *netfault.Proxy) { p.Hold(netfault.Both) })
	c.eventually(30*time.Second, func() error {
		if !last.linkTo("a").suspect.Load() || !last.linkTo("b").suspect.Load() {
			return errors.New("not noticed")
		}
		return nil
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := last.Put(ctx, fmt.Sprint(i), []byte("v")); !errors.Is(err, kv.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Put on the cut-off node: %v, want ErrUnavailable and the context's error", err)
			}
		})
	}
	wg.Wait()
	each(func(p *netfault.Proxy) { p.Heal() })
	c.settle()
	last.put(t, "k", "v")
}

func (n *testNode) linkTo(id string) *link {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.links[id]
}

func TestAPrimaryThatMissedAWriteFindsOut(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a", "b")
	a := c.nodes["a"]
	a.put(t, "k", "1")
	_, _, v := a.stands(partition(hash("k")), time.Now())
	primary, replica := c.nodes[v.owners[partition(hash("k"))][0]], c.nodes[v.owners[partition(hash("k"))][1]]
	item, err := primary.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	replica.store.merge("k", record{value: []byte("2"), version: replica.clock.next(uint64(item.Revision))})
	if _, err := a.Put(t.Context(), "k", []byte("3"), kv.IfRevision(item.Revision)); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("Put with the revision that is old on the replica: %v, want ErrConflict", err)
	}
	if item, err := a.Get(t.Context(), "k"); err != nil || string(item.Value) != "2" {
		t.Errorf("Get = %q, %v, want what the replica knew", item.Value, err)
	}
}

func TestNodesConvergeByThemselves(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a", "b")
	a, b := c.nodes["a"], c.nodes["b"]
	for i := range 50 {
		key := fmt.Sprint(i)
		a.store.merge(key, record{value: []byte("of a"), version: a.clock.next(0)})
		if i%2 == 0 {
			b.store.merge(key, record{value: []byte("later"), version: b.clock.next(a.clock.last.Load())})
		}
	}
	c.eventually(30*time.Second, func() error {
		for i := range 50 {
			key, want := fmt.Sprint(i), "of a"
			if i%2 == 0 {
				want = "later"
			}
			for _, n := range []*testNode{a, b} {
				if r, _ := n.store.get(key, time.Now()); string(r.value) != want {
					return fmt.Errorf("%s has %q at %s, want %q", n.self, r.value, key, want)
				}
			}
		}
		return nil
	})
}

func TestTheBoundHolds(t *testing.T) {
	leak.Check(t)
	c := newCluster(t)
	for _, id := range []string{"a", "b"} {
		c.join(id, WithMaxBytes(2<<20), WithInterval(20*time.Millisecond))
	}
	c.settle()
	a := c.nodes["a"]
	value := strings.Repeat("x", 10_000)
	for i := range 600 {
		a.put(t, fmt.Sprint(i), value)
	}
	for _, n := range c.nodes {
		if got := n.store.items.Bytes() + n.store.tombs.Bytes(); got > 2<<20 || got < 1<<20 {
			t.Errorf("%s holds %d bytes of %d", n.self, got, 2<<20)
		}
	}
}
