package ring

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/kv"
)

// TestAHundredJoinsAndLeavesLoseNoKey has nodes come and go, with a hand-off or
// without a word, one change after the other, while others write and read. What
// was acknowledged is there all the time.
func TestAHundredJoinsAndLeavesLoseNoKey(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "a", "b")
	const keys, changes = 400, 100
	var versions [keys]atomic.Int64 // the last value of each key that was acknowledged
	for i := range keys {
		c.nodes["a"].put(t, fmt.Sprint(i), "0")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var writes, reads, unknown atomic.Int64
	stores := []kv.KV{c.nodes["a"].KV, c.nodes["b"].KV}
	for w := range 2 {
		wg.Go(func() { // each writes its own half of the keys, so that it knows what is last
			for n := int64(1); ctx.Err() == nil; n++ {
				i := rand.IntN(keys/2)*2 + w
				_, err := stores[w].Put(t.Context(), fmt.Sprint(i), fmt.Append(nil, n))
				switch {
				case err == nil:
					versions[i].Store(n)
					writes.Add(1)
				case errors.Is(err, kv.ErrUnknownOutcome):
					unknown.Add(1)
				default:
					t.Errorf("Put(%d): %v", i, err)
					return
				}
				<-time.After(2 * time.Millisecond) // the nodes need the processors, too
			}
		})
		wg.Go(func() {
			for ctx.Err() == nil {
				i := rand.IntN(keys)
				read(t, stores[w], i, versions[i].Load())
				if reads.Add(1); t.Failed() {
					return
				}
				<-time.After(2 * time.Millisecond)
			}
		})
	}
	dice := rand.New(rand.NewPCG(1, 2))
	var guests []*testNode
	for n := range changes {
		if len(guests) == 0 || len(guests) < 3 && dice.IntN(2) == 0 {
			guests = append(guests, c.join(fmt.Sprint("guest-", n)))
		} else {
			i := dice.IntN(len(guests))
			c.leave(guests[i], dice.IntN(2) == 0)
			guests = append(guests[:i], guests[i+1:]...)
		}
		c.settle()
		if t.Failed() {
			break
		}
	}
	stop()
	wg.Wait()
	for i := range keys {
		read(t, stores[i%2], i, versions[i].Load())
		if ids := c.heldBy(fmt.Sprint(i)); len(ids) != 2 {
			t.Errorf("key %d is on %q, want two nodes", i, ids)
		}
	}
	t.Logf("%d changes, %d writes, %d of unknown outcome, %d reads", changes, writes.Load(), unknown.Load(), reads.Load())
}

// read wants a value that is not older than the last one acknowledged before.
func read(t *testing.T, store kv.KV, i int, least int64) {
	t.Helper()
	item, err := store.Get(t.Context(), fmt.Sprint(i))
	var got int64
	if _, bad := fmt.Sscan(string(item.Value), &got); err != nil || bad != nil || got < least {
		t.Errorf("Get(%d) = %q, %v, want %d or newer", i, item.Value, err, least)
	}
}

// leave ends a node: with a hand-off it drains first, without it is gone before
// the registry knows.
func (c *cluster) leave(n *testNode, handoff bool) {
	c.Helper()
	if handoff {
		if err := n.entered.Update(c.Context(), func(in *discovery.Instance) { in.Status = discovery.Draining }); err != nil {
			c.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
		defer cancel()
		if err := n.Drained(ctx); err != nil {
			c.Fatal(err)
		}
	}
	entered := n.entered
	n.entered = nil
	c.kill(n)
	if err := entered.Deregister(c.Context()); err != nil {
		c.Fatal(err)
	}
}

func (v *view) has(id string) bool {
	for p := range v.owners {
		if v.owns(uint16(p), id) {
			return true
		}
	}
	return false
}
