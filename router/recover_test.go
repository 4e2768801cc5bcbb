package router_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// An instance that is well again gets its share back within a minute, however
// seldom its client calls; one that is not costs few calls.
func TestInstancesThatRecoverGetTheirShareBack(t *testing.T) {
	failing := func(time.Duration) router.Outcome {
		return router.Outcome{Class: router.Connect, Latency: time.Millisecond}
	}
	slow := func(lat time.Duration) router.Outcome { return router.Outcome{Latency: 10 * lat} }
	for _, c := range []struct {
		instances, rate int
		name            string
		ill             func(time.Duration) router.Outcome
		recovers        bool
		most, least     float64 // of its share, from a minute after it recovered, for 30 s
	}{
		{2, 5, "fails", failing, true, 1.4, .8},
		{3, 20, "fails", failing, true, 1.4, .75},
		{10, 50, "fails", failing, true, 1.4, .75},
		{50, 100, "fails", failing, true, 1.4, .75},
		{3, 20, "is slow", slow, true, 1.7, .5},
		{50, 100, "is slow", slow, true, 1.7, .5},
		{3, 20, "fails on", failing, false, .2, 0},
		{50, 100, "fails on", failing, false, .4, 0},
		{3, 20, "is slow on", slow, false, .2, 0},
		{50, 100, "is slow on", slow, false, .4, 0},
	} {
		t.Run(fmt.Sprintf("one of %d %s, %d calls a second", c.instances, c.name, c.rate), func(t *testing.T) {
			for seed := range uint64(2) {
				got := 0
				w, clock := fixed(t, fleet(c.instances), seed)
				took := work(seed)
				for i := range 110 * c.rate {
					at, p, o := i/c.rate, w.pick(t), router.Outcome{Latency: took()}
					if p.Instance.ID == "n0000" {
						if at >= 10 && (at < 20 || !c.recovers) {
							o = c.ill(o.Latency)
						}
						if at >= 80 {
							got++
						}
					}
					p.Done(o)
					clock.forward(time.Second / time.Duration(c.rate))
				}
				share := float64(got*c.instances) / float64(30*c.rate)
				if share > c.most || share < c.least {
					t.Errorf("seed %d: it got %.2f of its share, want %v to %v", seed, share, c.least, c.most)
				}
			}
		})
	}
}
