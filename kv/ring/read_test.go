package ring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/kv"
)

// pair returns a cluster of two that compare with each other only after
// changes, and the key's primary and replica.
func pair(t *testing.T, key string) (c *cluster, primary, replica *testNode) {
	c = newCluster(t)
	for _, id := range []string{"a", "b"} {
		c.join(id, WithInterval(time.Minute), WithDetection(time.Minute))
	}
	c.settle()
	p := partition(hash(key))
	_, _, v := c.nodes["a"].stands(p, time.Now())
	return c, c.nodes[v.owners[p][0]], c.nodes[v.owners[p][1]]
}

func TestAProcessThatWasStoppedAsksOthersBeforeItAnswers(t *testing.T) {
	leak.Check(t)
	c, primary, replica := pair(t, "k")
	client := c.start("client")
	primary.put(t, "k", "old")
	replica.store.merge("k", record{dead: true, version: replica.clock.next(0)})
	primary.beat.Store(time.Now().Add(-2 * time.Minute).UnixMilli()) // as its own clock finds it after a pause
	for _, reader := range []*testNode{primary, client} {
		if item, err := reader.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("%s: Get = %q, %v, want ErrNotFound", reader.self, item.Value, err)
		}
	}
}

// TestNoWriteIsAcknowledgedBehindAnOwnersBack: a and b own the keys, a new node
// joins, and b has not heard of it. What b would not be given is not
// acknowledged, for b goes on to read its own copy.
func TestNoWriteIsAcknowledgedBehindAnOwnersBack(t *testing.T) {
	leak.Check(t)
	var own []*cluster // each with a registry of its own
	var nodes []*testNode
	ids := []string{"a", "b", "new"}
	for _, id := range ids {
		d, err := discovery.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		c := &cluster{t, d, map[string]*testNode{}}
		own, nodes = append(own, c), append(nodes, c.start(id))
	}
	tell := func(who, of int) {
		t.Helper()
		in := discovery.Instance{Service: "cells", ID: ids[of], Address: nodes[of].server.Listener.Addr().String()}
		if _, err := own[who].d.Register(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	a, b, fresh := nodes[0], nodes[1], nodes[2]
	for who := range 2 {
		tell(who, 0)
		tell(who, 1)
	}
	const keys = 60
	for i := range keys {
		a.put(t, fmt.Sprint(i), "old")
	}
	for of := range 3 {
		tell(2, of)
	}
	tell(0, 2)
	own[0].eventually(30*time.Second, func() error {
		if !a.v.Load().has("new") || a.linkTo("new").conn.Load() == nil || fresh.linkTo("b") == nil || fresh.linkTo("b").conn.Load() == nil {
			return errors.New("the new node is not known yet")
		}
		return nil
	})
	var wg sync.WaitGroup
	var refused, taken atomic.Int64
	for i := range keys {
		wg.Go(func() {
			key := fmt.Sprint(i)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := a.Put(ctx, key, []byte("new"))
			item, _ := b.Get(t.Context(), key)
			switch {
			case err == nil && string(item.Value) != "new":
				t.Errorf("the write of %q was acknowledged, and b reads %q", key, item.Value)
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, kv.ErrUnknownOutcome): // of the last try
				t.Errorf("Put(%q): %v, want ErrUnavailable", key, err)
			default:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if refused.Load() == 0 || taken.Load() == 0 {
		t.Errorf("%d writes were refused and %d taken: nothing is shown", refused.Load(), taken.Load())
	}
	tell(1, 2)
	for i := range keys {
		a.put(t, fmt.Sprint(i), "newer")
		for _, n := range nodes {
			if item, err := n.Get(t.Context(), fmt.Sprint(i)); err != nil || string(item.Value) != "newer" {
				t.Fatalf("%s: Get(%d) = %q, %v", n.self, i, item.Value, err)
			}
		}
	}
}

func TestAReplicaReadsItsOwnCopyAndAsksForWhatItLacks(t *testing.T) {
	leak.Check(t)
	c, primary, replica := pair(t, "k")
	primary.put(t, "k", "1")
	c.eventually(30*time.Second, func() error {
		if l := replica.linkTo(primary.self); l == nil || l.conn.Load() == nil {
			return errors.New("the replica is not connected to the primary yet")
		}
		return nil
	})
	asked := func() uint32 {
		c := replica.linkTo(primary.self).conn.Load()
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last
	}
	before := asked()
	for range 100 {
		if item, err := replica.Get(t.Context(), "k"); err != nil || string(item.Value) != "1" {
			t.Fatalf("Get = %q, %v", item.Value, err)
		}
	}
	if n := asked() - before; n > 10 { // pings go on
		t.Errorf("100 reads of an own copy were %d requests", n)
	}
	replica.store.drop(func(uint16, uint64) bool { return false }) // as if evicted
	if item, err := replica.Get(t.Context(), "k"); err != nil || string(item.Value) != "1" {
		t.Errorf("Get of what was evicted here = %q, %v, want the primary's", item.Value, err)
	}
}

func TestAReadAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, too")
	}
	leak.Check(t)
	c := newCluster(t, "a", "b")
	client := c.start("client")
	client.put(t, "k", strings.Repeat("v", 100))
	for _, tc := range []struct {
		name string
		node *testNode
		most float64
	}{
		{"an own copy", c.nodes["a"], 1},   // the deadline
		{"from a peer", client, 2 + 1 + 1}, // the deadline, the value; the key at the peer, and a spare one
	} {
		got := testing.AllocsPerRun(500, func() {
			if _, err := tc.node.Get(context.Background(), "k"); err != nil {
				t.Fatal(err)
			}
		})
		if got > tc.most {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, got, tc.most)
		}
	}
}

func TestManyKeysAreOneRequestToEachOwner(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a", "b", "c")
	client := c.start("client")
	values, keys := map[string][]byte{}, []string{"nobody"}
	for i := range 3000 {
		k := fmt.Sprint("key/", i)
		values[k], keys = []byte(fmt.Sprint("value/", i)), append(keys, k)
	}
	values["long"], keys = bytes.Repeat([]byte("x"), 1<<20), append(keys, "long", "long 2")
	values["long 2"] = values["long"]
	if err := client.PutMany(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	asked := func() (n uint32) {
		for _, id := range []string{"a", "b", "c"} {
			c := client.linkTo(id).conn.Load()
			c.mu.Lock()
			n += c.last
			c.mu.Unlock()
		}
		return n
	}
	before := asked()
	items, err := client.GetMany(t.Context(), keys...)
	n := asked() - before
	if err != nil || len(items) != len(values) {
		t.Fatalf("%d items, %v, want %d", len(items), err, len(values))
	}
	for k, item := range items {
		if !bytes.Equal(item.Value, values[k]) {
			t.Fatalf("%q is %.20q, want %.20q", k, item.Value, values[k])
		}
	}
	if n > 20 { // of three owners, some pages for the long values, pings
		t.Errorf("%d requests for %d keys", n, len(keys))
	}

	// Owners that do not answer are passed by.
	c.kill(c.nodes["b"])
	if items, err := client.GetMany(t.Context(), keys...); err != nil || len(items) != len(values) {
		t.Errorf("with one owner dead: %d items, %v, want %d", len(items), err, len(values))
	}
}
