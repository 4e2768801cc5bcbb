package router_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// A call that is refused was sent for nothing: an instance that refuses one in
// ten gets less than one that fails as many, and its share again as soon as it
// has room.
func TestWhatRefusesIsAskedLess(t *testing.T) {
	share := func(class router.Class, part int) (during, after float64) {
		w, clock := fixed(t, fleet(5), 7, neverEject())
		took := work(3)
		got, calls := [3]int{}, 0
		for i := range 60 * 100 {
			phase := i / (20 * 100)
			p, o := w.pick(t), router.Outcome{Latency: took()}
			if p.Instance.ID == "n0000" {
				got[phase]++
				if calls++; phase == 1 && calls%part == 0 {
					o.Class, o.Latency = class, time.Millisecond
				}
			}
			p.Done(o)
			clock.forward(10 * time.Millisecond)
		}
		return float64(got[1]) / 400, float64(got[2]) / 400
	}
	failed, _ := share(router.ServerError, 10)
	refused, after := share(router.Overload, 10)
	if refused > .8*failed || refused > .8 {
		t.Errorf("it got %.2f of its share when it refused one in ten, and %.2f when it failed as many", refused, failed)
	}
	if after < .7 {
		t.Errorf("it got %.2f of its share when it had room again", after)
	}
	if none, _ := share(router.OK, 10); none < .9 {
		t.Errorf("it got %.2f of its share when it refused nothing", none)
	}
}
