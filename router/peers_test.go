package router_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
)

// used is the instances in a client's aperture.
func (w *world) used() map[string]bool {
	all := map[string]bool{}
	for _, s := range w.Router.Stats("greeter") {
		if s.InSubset {
			all[s.ID] = true
		}
	}
	return all
}

func TestPeersCoverAllInstancesEvenly(t *testing.T) {
	for _, c := range []struct{ instances, clients, least, most int }{
		{500, 3, 166, 167}, {500, 10, 100, 100}, {250, 8, 124, 126}, {101, 2, 101, 101}, {100, 20, 100, 100}, {700, 1, 700, 700},
	} {
		t.Run(fmt.Sprintf("%d instances, %d clients", c.instances, c.clients), func(t *testing.T) {
			all := fleet(c.instances)
			for i := range c.clients {
				all = append(all, discovery.Instance{Service: "shop", ID: fmt.Sprint("shop", i), Address: fmt.Sprintf("10.0.0.2:%d", 1000+i)})
			}
			covered := map[string]int{}
			for i := range c.clients {
				w := on(t, all, router.WithPeers("shop", fmt.Sprint("shop", i)))
				await(t, "the client finds its place", func() bool {
					w.pick(t).Done(ok(""))
					n := len(w.used())
					return n >= c.least && n <= c.most
				})
				for id := range w.used() {
					covered[id]++
				}
				used := w.used()
				for id := range w.shares(t, 3*c.most, ok) {
					if !used[id] {
						t.Fatalf("client %d called %s, which is not in its aperture", i, id)
					}
				}
			}
			least, most := c.clients, 0
			for _, in := range fleet(c.instances) {
				least, most = min(least, covered[in.ID]), max(most, covered[in.ID])
			}
			if least < 1 || most-least > 0 {
				t.Errorf("an instance is used by %d to %d clients, want each by as many", least, most)
			}
		})
	}
}

// Who is not among the peers, or has none, uses everything up to a thousand.
func TestApertureWithoutPeers(t *testing.T) {
	for _, c := range []struct {
		instances, used int
		opts            []router.Option
	}{
		{200, 200, nil}, {1000, 1000, nil}, {1001, 1000, nil},
		{200, 200, []router.Option{router.WithPeers("shop", "nobody")}},
	} {
		w := on(t, fleet(c.instances), c.opts...)
		w.pick(t).Done(ok(""))
		if n := len(w.used()); n != c.used {
			t.Errorf("%d of %d instances are used, want %d", n, c.instances, c.used)
		}
	}
	for _, o := range []router.Option{router.WithPeers("", "a"), router.WithPeers("shop", "")} {
		d, _ := discovery.New(static.Backend())
		if _, err := router.New(router.WithDiscovery(d), o); err == nil {
			t.Error("peers of no service, or without an id, are accepted")
		}
		d.Close()
	}
}

// An aperture that changes more than the instances throws away connections.
func TestApertureChangesAsLittleAsTheInstances(t *testing.T) {
	all := append(fleet(300), discovery.Instance{Service: "shop", ID: "a", Address: "10.0.0.2:1"}, discovery.Instance{Service: "shop", ID: "b", Address: "10.0.0.2:2"})
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := router.New(router.WithDiscovery(d), router.WithPeers("shop", "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	w := &world{d, r, map[string]discovery.Registration{}}
	for _, in := range all {
		w.add(t, in)
	}
	w.settle(t, 300)
	await(t, "the client finds its place", func() bool { return len(w.used()) == 150 })
	before := w.used()
	w.add(t, discovery.Instance{ID: "another"})
	w.settle(t, 301)
	left := 0
	await(t, "the aperture is that of 301", func() bool { n := len(w.used()); return n == 150 || n == 151 })
	for id := range before {
		if !w.used()[id] {
			left++
		}
	}
	if left > 1 {
		t.Errorf("one instance came, and %d of 150 left the aperture", left)
	}
}
