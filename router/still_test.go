package router_test

import (
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// clock is moved by a test alone.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Duration          { return time.Duration(c.at.Load()) }
func (c *clock) forward(d time.Duration)     { c.at.Add(int64(d)) }
func (c *clock) until(d time.Duration)       { c.at.Store(int64(time.Hour + d)) }
func (c *clock) ms(n float64)                { c.forward(millis(n)) }
func millis(n float64) time.Duration         { return time.Duration(n * float64(time.Millisecond)) }
func inMillis(d time.Duration) (ms float64)  { return float64(d) / float64(time.Millisecond) }
func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*max(want, 1) }

// still is a router whose time stands still unless a test moves it, and whose
// draws are all from the middle. The last instance was called once, which said
// nothing.
func still(t testing.TB, all []discovery.Instance, opts ...router.Option) (*world, *clock) {
	t.Helper()
	middle := router.WithRandom(func() uint64 { return 1 << 63 })
	w, c := fixed(t, all, 0, append([]router.Option{middle}, opts...)...)
	ids := make([]string, len(all))
	for i, in := range all {
		ids[i] = in.ID
	}
	w.pick(t, router.Exclude(ids[:max(len(ids)-1, 0)]...)).Done(router.Outcome{Class: router.Cancelled})
	return w, c
}

// tick lets a second pass: what is done once a second is done by a call of one
// instance, which says nothing.
func (w *world) tick(t testing.TB, c *clock, id string) {
	t.Helper()
	c.forward(time.Second)
	w.touch(t, id)
}

// touch is a call of an instance that says nothing.
func (w *world) touch(t testing.TB, id string) {
	t.Helper()
	w.pick(t, only(len(w.Router.Stats("greeter")), id)).Done(router.Outcome{Class: router.Cancelled})
}

// only excludes all of a fleet of n but one.
func only(n int, id string) router.SelectOption {
	var others []string
	for _, in := range fleet(n) {
		if in.ID != id {
			others = append(others, in.ID)
		}
	}
	return router.Exclude(others...)
}

var classOf = map[byte]router.Class{
	'f': router.ServerError, 'o': router.Overload, 'c': router.Cancelled, 'e': router.ClientError, 'u': router.Unsent, 't': router.Timeout,
}

// called records calls of an instance: how many milliseconds each took, after a
// letter if it did not go well; "20*f5" is twenty.
func (w *world) called(t testing.TB, id, calls string) {
	t.Helper()
	for call := range strings.FieldsSeq(calls) {
		times := 1
		if n, rest, ok := strings.Cut(call, "*"); ok {
			times, _ = strconv.Atoi(n)
			call = rest
		}
		class, isClass := classOf[call[0]]
		if isClass {
			call = call[1:]
		}
		ms, err := strconv.ParseFloat(call, 64)
		if err != nil {
			t.Fatal(err)
		}
		for range times {
			w.Record(router.Sample{Service: "greeter", Instance: id, Outcome: router.Outcome{Class: class, Latency: millis(ms)}})
		}
	}
}

func (w *world) candidate(t testing.TB, id string, opts ...router.SelectOption) router.Candidate {
	t.Helper()
	for _, c := range w.Explain("greeter", opts...).Nodes {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no instance %q", id)
	return router.Candidate{}
}

// score is what a call to the instance would cost, in milliseconds.
func (w *world) score(t testing.TB, id string) float64 {
	t.Helper()
	return w.candidate(t, id).Score / float64(time.Millisecond)
}
