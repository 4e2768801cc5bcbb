package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type add struct{ a, b, sum int }

func group(trip time.Duration, max int, slow bool) (*Group[add], *atomic.Int64, *atomic.Int64) {
	var trips, largest atomic.Int64
	g := &Group[add]{Max: max, Context: context.Background(), Slow: slow}
	g.Run = func(ctx context.Context, calls []*add) {
		trips.Add(1)
		for n := largest.Load(); int64(len(calls)) > n && !largest.CompareAndSwap(n, int64(len(calls))); n = largest.Load() {
		}
		time.Sleep(trip)
		for _, c := range calls {
			c.sum = c.a + c.b
		}
	}
	return g, &trips, &largest
}

func TestLoneCallGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, trips, _ := group(50*time.Microsecond, 100, false)
		for i := range 10 {
			start := time.Now()
			v := &add{a: i, b: 1}
			if _, err := g.Do(t.Context(), v); err != nil || v.sum != i+1 || time.Since(start) != 50*time.Microsecond {
				t.Fatalf("sum %d, %v, after %v", v.sum, err, time.Since(start))
			}
		}
		if trips.Load() != 10 {
			t.Fatalf("%d trips of 10 calls", trips.Load())
		}
		g.Wait()
	})
}

func TestConcurrentCallsShareTrips(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g, trips, largest := group(50*time.Microsecond, 16, slow)
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					v := &add{a: i, b: i}
					if _, err := g.Do(t.Context(), v); err != nil || v.sum != 2*i {
						t.Errorf("sum %d, %v, want %d", v.sum, err, 2*i)
					}
				})
			}
			wg.Wait()
			g.Wait()
			if n := trips.Load(); n < 7 || n > 20 || largest.Load() != 16 {
				t.Errorf("slow %v: 100 calls made %d trips, the largest of %d; want about 10 of at most 16", slow, n, largest.Load())
			}
		})
	}
}

func TestFarServerGetsMoreLanes(t *testing.T) {
	for _, c := range []struct {
		max  int
		slow bool
	}{{100, false}, {1, true}} {
		synctest.Test(t, func(t *testing.T) {
			g, _, _ := group(2*time.Millisecond, c.max, c.slow)
			for range 30 {
				_, _ = g.Do(t.Context(), &add{})
			}
			start := time.Now()
			var wg sync.WaitGroup
			for range 12 {
				wg.Go(func() { _, _ = g.Do(t.Context(), &add{}) })
			}
			wg.Wait()
			if took := time.Since(start); took != 2*time.Millisecond {
				t.Errorf("%+v: 12 callers of a server that is 2ms away took %v", c, took)
			}
			g.Wait()
		})
	}
}

func TestCallersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := group(time.Second, 1, true)
		var wg sync.WaitGroup
		var not, maybe atomic.Int64
		for range 6 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				certainlyNot, err := g.Do(ctx, &add{})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				if certainlyNot {
					not.Add(1)
				} else {
					maybe.Add(1)
				}
			})
		}
		wg.Wait()
		g.Wait()
		if not.Load() != 4 || maybe.Load() != 2 {
			t.Errorf("%d were certainly not sent, %d may have been; want 4 and 2", not.Load(), maybe.Load())
		}
	})
}

// A panic that the caller recovers, as net/http does for a handler, takes no lane
// with it: with the only one nobody would be answered any more.
func TestAPanicLeavesItsLane(t *testing.T) {
	for what, alone := range map[string]bool{"Run": false, "Alone": true} {
		synctest.Test(t, func(t *testing.T) {
			g, _, _ := group(time.Millisecond, 16, false)
			g.MaxLanes = 1
			well := g.Run
			var before atomic.Bool
			g.Run = func(ctx context.Context, calls []*add) {
				if !before.Swap(true) {
					time.Sleep(time.Millisecond)
					panic("sorry")
				}
				well(ctx, calls)
			}
			if alone {
				g.Alone = func(ctx context.Context, v *add) { g.Run(ctx, []*add{v}) }
			}
			sum := func(when string) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				v := &add{a: 1, b: 2}
				if _, err := g.Do(ctx, v); err != nil || v.sum != 3 {
					t.Errorf("%s: %s the panic: %d, %v", what, when, v.sum, err)
				}
			}
			var behind sync.WaitGroup
			func() {
				defer func() { _ = recover() }()
				behind.Go(func() {
					time.Sleep(time.Microsecond)
					sum("behind")
				})
				_, _ = g.Do(t.Context(), &add{})
			}()
			behind.Wait()
			sum("after")
			g.Wait()
		})
	}
}

type key struct{}

// A lone call is made on its caller's goroutine, with its context; a second one beside
// those that fill the lanes is queued, and said to be.
func TestWhoMakesACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alone, queued := 0, 0
		var lanes sync.WaitGroup
		g, trips, _ := group(time.Second, 1, false)
		run := g.Run
		g.Run = func(ctx context.Context, calls []*add) {
			if ctx != g.Context {
				alone++
			}
			run(ctx, calls)
		}
		g.Queued, g.Lanes = func(*add) { queued++ }, &lanes
		ctx := context.WithValue(t.Context(), key{}, 1)
		do := func() { _, _ = g.Do(ctx, &add{}) }
		do()
		if alone != 1 || queued != 0 {
			t.Errorf("a lone call: %d with a context of its own, %d queued", alone, queued)
		}
		g.trip.Store(0)
		for range 3 {
			go do()
			synctest.Wait()
		}
		if alone != 3 || queued != 1 {
			t.Errorf("three calls: %d with a context of their own, %d queued", alone-1, queued)
		}
		lanes.Wait()
		if trips.Load() != 4 {
			t.Errorf("%d trips when all lanes have ended, want 4", trips.Load())
		}
		g.Alone = func(got context.Context, v *add) { v.sum = got.Value(key{}).(int) }
		v := &add{}
		if _, err := g.Do(ctx, v); err != nil || v.sum != 1 || trips.Load() != 4 {
			t.Errorf("with Alone: %+v, %v, %d trips", v, err, trips.Load())
		}
	})
}

// While no trip ends, who comes gets a lane after a time, up to a bound.
func TestStuckLanesKeepNobodyWaiting(t *testing.T) {
	for name, c := range map[string]struct {
		most  int
		after time.Duration
		lanes int
	}{
		"at once":           {0, 0, 2},
		"just not yet":      {0, stuck, 2},
		"a moment later":    {0, stuck + 1, 3},
		"later, one lane":   {1, stuck + 1, 1},
		"later, two lanes":  {2, stuck + 1, 2},
		"later, three":      {3, stuck + 1, 3},
		"later, many lanes": {100, stuck + 1, 3},
	} {
		for _, slow := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Hour) // since nothing ended
				g, trips, _ := group(time.Hour, 1, slow)
				g.MaxLanes = c.most
				do := func() { go func() { _, _ = g.Do(t.Context(), &add{}) }(); synctest.Wait() }
				do()
				do()
				time.Sleep(c.after)
				do()
				if n := trips.Load(); n != int64(c.lanes) {
					t.Errorf("%s, slow %v: %d trips, want %d", name, slow, n, c.lanes)
				}
				time.Sleep(10 * time.Hour)
				g.Wait()
				if n := trips.Load(); n != 3 {
					t.Errorf("%s, slow %v: %d trips in the end", name, slow, n)
				}
			})
		}
	}
}

// Round trips have at most so many calls, and so many bytes: below each limit, at it
// and above.
func TestChunks(t *testing.T) {
	const half = 50
	for name, c := range map[string]struct {
		sizes []int
		want  string
	}{
		"none": {nil, "[]"}, "one": {[]int{1}, "[1]"}, "one less": {slices.Repeat([]int{1}, 3), "[3]"}, "as many": {slices.Repeat([]int{1}, 4), "[4]"},
		"one more": {slices.Repeat([]int{1}, 5), "[4 1]"}, "twice": {slices.Repeat([]int{1}, 9), "[4 4 1]"},
		"a byte less": {[]int{half, half - 2, 1}, "[3]"}, "as many bytes": {[]int{half, half}, "[2]"}, "a byte more": {[]int{half, half + 1}, "[1 1]"},
		"large ones": {[]int{3 * half, 3 * half, 1}, "[1 1 1]"}, "after a large one": {[]int{3 * half, 1, 1}, "[1 2]"},
		"each begins again": {[]int{half, half, half, half}, "[2 2]"},
	} {
		lengths, all := []int{}, []int(nil)
		for chunk := range Chunks(c.sizes, 4, 2*half, func(n int) int { return n }) {
			lengths, all = append(lengths, len(chunk)), append(all, chunk...)
		}
		if got := fmt.Sprint(lengths); got != c.want || !slices.Equal(all, c.sizes) {
			t.Errorf("%s: %s of %v, want %s", name, got, all, c.want)
		}
	}
	for range Chunks(make([]int, 12), 4, 1, func(n int) int { return n }) {
		break // and no panic
	}
}
