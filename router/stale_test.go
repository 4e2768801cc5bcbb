package router_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// renewal is a router that makes many calls to two instances, of which the
// second was called now, and is far more expensive since.
func renewal(t testing.TB, ms float64) (*world, *clock) {
	w, clock := still(t, fleet(2), neverEject())
	w.called(t, "n0000", "2000*10")
	w.called(t, "n0001", "40*10")
	w.tick(t, clock, "n0000")
	w.touch(t, "n0001")
	w.called(t, "n0001", fmt.Sprintf("2000*%v", ms))
	return w, clock
}

// picked is who would get a call now.
func (w *world) picked(t testing.TB) string {
	p := w.pick(t)
	p.Done(router.Outcome{Class: router.Cancelled})
	return p.Instance.ID
}

// An instance that costs more, and that nobody has asked for two seconds, is asked
// again by one call in five seconds.
func TestOneThatCostsMoreIsAskedAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		ms   float64 // what its calls take
		open int     // calls of it in flight
		idle time.Duration
		want string
	}{
		{"too soon", 40, 0, 2 * time.Second, "n0000"}, {"after two seconds", 40, 0, 2*time.Second + 1, "n0001"},
		{"one is under way", 40, 1, 2*time.Second + 1, "n0000"},
		{"hardly costs more", 11.8, 0, 2*time.Second + 1, "n0000"}, {"costs somewhat more", 12.5, 0, 2*time.Second + 1, "n0001"},
	} {
		w, clock := renewal(t, c.ms)
		for range c.open {
			w.pick(t, only(2, "n0001"))
		}
		clock.forward(c.idle)
		if got := w.picked(t); got != c.want {
			t.Errorf("%s: the call went to %s, want %s", c.name, got, c.want)
		}
	}
}

func TestHowOftenACallAsksAgain(t *testing.T) {
	for _, c := range []struct {
		pause time.Duration
		want  string
	}{{4 * time.Second, "n0000"}, {5 * time.Second, "n0000"}, {5*time.Second + 1, "n0001"}} {
		w, clock := renewal(t, 40)
		for _, call := range []struct {
			after time.Duration
			want  string
		}{{2*time.Second + 1, "n0001"}, {c.pause, c.want}} {
			clock.forward(call.after)
			w.called(t, "n0000", "2000*10") // calls are many
			if got := w.picked(t); got != call.want {
				t.Errorf("%v after one that asked again a call went to %s, want %s", call.after, got, call.want)
			}
		}
	}
}

// If calls are few, ten of each instance pass first. Their rate moves by 0.3 of
// what the time since the last tick had: here N calls in a second, then twelve.
func TestFewCallsAskAgainLater(t *testing.T) {
	for _, c := range []struct {
		calls int
		after float64 // seconds: 20 calls at a rate of 0.7 × 0.3 N + 0.3 × 12 / after
	}{{10, 16.4 / 2.1}, {20, 16.4 / 4.2}, {60, 2}, {1000, 2}} {
		for _, off := range []time.Duration{-50 * time.Millisecond, 50 * time.Millisecond} {
			w, clock := still(t, fleet(2), neverEject())
			w.called(t, "n0000", "100*10")
			w.called(t, "n0001", "40*10")
			clock.forward(24 * time.Hour)
			w.tick(t, clock, "n0000")                             // those were not many
			w.called(t, "n0000", fmt.Sprintf("%d*10", c.calls-1)) // and the one of the tick
			w.tick(t, clock, "n0000")
			w.touch(t, "n0001")
			w.called(t, "n0001", "10*f0")
			clock.forward(time.Duration(c.after*float64(time.Second)) + off)
			if got := w.picked(t); (got == "n0001") != (off > 0) {
				t.Errorf("%d calls a second: %.2f s and %v after the last one of the worse instance a call went to %s", c.calls, c.after, off, got)
			}
		}
	}
}

// What an answer to such a call says counts at once.
func TestWhatAnAnswerAfterALongTimeTeaches(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome router.Outcome
		want    float64 // latency in ms; it was 40
	}{
		{"well again", router.Outcome{Latency: millis(10)}, 10}, {"half as long again as usual", router.Outcome{Latency: millis(15)}, 15},
		{"a little more", router.Outcome{Latency: millis(15.2)}, (40 + 15.2) / 2}, {"slower", router.Outcome{Latency: millis(60)}, 50},
		{"fails, and took longer", router.Outcome{Class: router.Timeout, Latency: millis(60)}, 50}, {"fails fast", router.Outcome{Class: router.Timeout, Latency: millis(1)}, 40},
		{"cancelled", router.Outcome{Class: router.Cancelled, Latency: millis(10)}, 40},
	} {
		w, clock := renewal(t, 40)
		w.called(t, "n0000", "2000*10")
		clock.forward(2*time.Second + 1)
		p := w.pick(t)
		if p.Instance.ID != "n0001" {
			t.Fatalf("%s: the call went to %s", c.name, p.Instance.ID)
		}
		p.Done(c.outcome)
		if got := inMillis(w.stat(t, "n0001").Latency); !near(got, c.want, 1e-3) {
			t.Errorf("%s: the latency is %v ms now, want %v", c.name, got, c.want)
		}
	}
}

// Failures fade while nobody calls, refusals always; not of one that is out.
func TestFailuresFade(t *testing.T) {
	for _, c := range []struct {
		name  string
		idle  time.Duration
		calls string
		want  float64
	}{
		{"called lately", 2 * time.Second, "f1", .95}, {"idle", 2*time.Second + 1, "f1", .95 + .05*.05}, {"all well", 3 * time.Second, "1", 1},
		{"out", 3 * time.Second, "5*f1", math.Pow(.95, 5)},
	} {
		w, clock := still(t, fleet(3), router.WithEjection(router.Ejection{Base: time.Minute}))
		w.touch(t, "n0000")
		w.called(t, "n0001", "2000*10") // calls are many
		w.called(t, "n0000", c.calls)
		clock.forward(c.idle)
		w.touch(t, "n0001")
		if got := w.stat(t, "n0000").Success; !near(got, c.want, 1e-9) {
			t.Errorf("%s: its success is %v, want %v", c.name, got, c.want)
		}
	}
	w, clock := still(t, fleet(2), neverEject())
	w.touch(t, "n0000")
	w.called(t, "n0000", "21*10 o0")
	w.called(t, "n0001", "2000*10")
	w.tick(t, clock, "n0001")
	if got, refused := w.score(t, "n0000"), .05*.7; !near(got, 10/(.95*.95)*(1+10*refused/(1-refused)), 1e-6) {
		t.Errorf("a second after it refused a call it costs %v ms", got)
	}
}
