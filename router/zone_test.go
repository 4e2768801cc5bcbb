package router_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
)

// A client that has little in flight itself sends part of its calls to other
// zones when all clients together crowd its own.
func TestZoneSpillsByWhatAllClientsHaveInFlight(t *testing.T) {
	for _, c := range []struct {
		zone        string
		home, away  float64 // in flight at each instance, as the view says
		least, most int     // calls of 1000 that stay; one in a hundred asks how the others are
	}{
		{"a", 0, 0, 980, 1000},
		{"a", 1, 0, 980, 1000}, // no crowd
		{"a", 40, 20, 980, 1000},
		{"a", 60, 20, 300, 800},
		{"a", 50, 0, 300, 700},
		{"", 50, 0, 400, 600}, // in no zone: all are equal
	} {
		t.Run(fmt.Sprintf("zone %q, %v and %v", c.zone, c.home, c.away), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, l, v := fleet(6), &liar{}, router.View{Service: "greeter", By: "other", Seq: 1, Nodes: map[string]router.NodeView{}}
				for i := range all {
					all[i].Zone = "ab"[i%2 : i%2+1]
					v.Nodes[all[i].ID] = router.NodeView{Weight: 1, Slower: 1, InFlight: []float64{c.home, c.away}[i%2]}
				}
				l.view.Store(&v)
				opts := []router.Option{router.WithSharing(l, router.Sharing{Interval: time.Minute, FromViews: true})}
				if c.zone != "" {
					opts = append(opts, router.WithZone(c.zone))
				}
				w, clock := fixed(t, all, 7, opts...)
				home := func(calls int) (n int) {
					for range calls {
						p := w.pick(t)
						if p.Instance.Zone == "a" {
							n++
						}
						clock.forward(30 * time.Millisecond)
						p.Done(ok(""))
					}
					return n
				}
				w.pick(t).Done(ok(""))
				synctest.Wait() // it hears the view
				home(1000)      // 30 s
				if n := home(1000); n < c.least || n > c.most {
					t.Errorf("%d of 1000 calls stayed at home, want %d to %d", n, c.least, c.most)
				}
				clock.forward(3 * time.Minute) // nothing more is heard
				w.pick(t).Done(ok(""))
				home(1000)
				if n := home(500); c.zone != "" && n < 490 {
					t.Errorf("when nothing more is heard %d of 500 calls stayed at home, want nearly all", n)
				}
			})
		})
	}
}
