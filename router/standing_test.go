package router_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// told is a discovery that says what a test tells it.
type told struct {
	discovery.Discovery // Watch is all that a router uses

	service string // whose instances; "": greeter's

	mu   sync.Mutex
	now  discovery.Snapshot
	wake chan struct{} // closed at the next change
}

func (d *told) say(live, preserved int) { d.list(fleet(live+preserved), preserved) }

// list says which instances there are, the preserved ones last.
func (d *told) list(all []discovery.Instance, preserved int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = discovery.Snapshot{Service: cmp.Or(d.service, "greeter"), State: discovery.Live, Instances: all, Preserved: preserved}
	if d.wake != nil {
		close(d.wake)
	}
	d.wake = make(chan struct{})
}

func (d *told) Watch(ctx context.Context, service string) iter.Seq2[discovery.Snapshot, error] {
	return func(yield func(discovery.Snapshot, error) bool) {
		for ctx.Err() == nil {
			d.mu.Lock()
			s, wake := d.now, d.wake
			d.mu.Unlock()
			if service != s.Service {
				s = discovery.Snapshot{Service: service, State: discovery.Live}
			}
			if !yield(s, nil) {
				return
			}
			select {
			case <-wake:
			case <-ctx.Done():
			}
		}
	}
}

// Instances that have expired and are kept by discovery are the last choice of
// every strategy, unless so many have that the registry is to blame: then each
// is until a call to it fails.
func TestPreservedInstancesAreLastChoices(t *testing.T) {
	for _, s := range []func() router.Strategy{router.LeastCost, router.PowerOfTwo, router.RoundRobin, router.WeightedRoundRobin, router.LeastLoaded, router.Random, func() router.Strategy { return router.Hash(1.25) }} {
		for _, c := range []struct {
			live, preserved int
			expired         int // calls that an expired instance may get
			used            bool
		}{
			{3, 0, 0, false}, {3, 3, 0, false}, {5, 1, 0, false},
			{2, 3, 1, true}, {1, 3, 1, true}, {0, 3, 400, true},
		} {
			t.Run(fmt.Sprintf("%v, %d of %d", s(), c.preserved, c.live+c.preserved), func(t *testing.T) {
				d := &told{}
				d.say(c.live, c.preserved)
				r, err := router.New(router.WithDiscovery(d), router.WithClient("a"), seeded(), router.WithStrategy(s()), neverEject())
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close(context.Background())
				w := &world{d, r, nil}
				var dead []string
				for _, in := range fleet(c.live + c.preserved)[c.live:] {
					dead = append(dead, in.ID)
				}
				got, all := w.shares(t, 400, failing(dead...)), 0
				for _, id := range dead {
					if n := got[id]; n > c.expired {
						t.Errorf("%s, which has expired and is dead, got %d of 400 calls, want %d at the most", id, n, c.expired)
					}
					all += got[id]
				}
				if (all > 0) != c.used {
					t.Errorf("%d calls went to instances that have expired, want some: %v", all, c.used)
				}
				if c.live == 0 || c.preserved == 0 {
					return
				}
				var live []string
				for _, in := range fleet(c.live) {
					live = append(live, in.ID)
				}
				if p := w.pick(t, router.Exclude(live...)); got[p.Instance.ID] > c.expired {
					t.Errorf("when all others were tried: %s, want one that has expired", p.Instance.ID)
				}
				d.say(c.live+c.preserved, 0) // they are back
				await(t, "they are confirmed", func() bool { return w.Explain("greeter").Healthy == c.live+c.preserved })
			})
		}
	}
}

// A rule's branch whose instances are all about to leave falls back.
func TestBranchOfLastChoicesFallsBack(t *testing.T) {
	w := start(t, router.WithRules(canary(100)))
	w.add(t, discovery.Instance{ID: "old", Version: "1"})
	w.add(t, discovery.Instance{ID: "new", Version: "2"})
	w.settle(t, 2)
	if got := w.shares(t, 100, ok); got["new"] != 100 {
		t.Fatalf("got %v, want all at the branch", got)
	}
	if err := w.regs["new"].Update(t.Context(), func(in *discovery.Instance) { in.Status = discovery.Draining }); err != nil {
		t.Fatal(err)
	}
	await(t, "the router hears of it", func() bool { return w.why("new") != "" })
	if got := w.shares(t, 100, ok); got["old"] != 100 {
		t.Errorf("got %v, want all at what is not draining", got)
	}
}
