package monitor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBucketsAreTight(t *testing.T) {
	last := -1
	for us := int64(0); us < 1<<33; us += 1 + us/50 {
		d := time.Duration(us) * time.Microsecond
		b := bucketOf(d)
		if b < last || b >= bucketCount {
			t.Fatalf("bucketOf(%v) = %d after %d", d, b, last)
		}
		last = b
		if b == bucketCount-1 {
			break
		}
		if up := upper(b); up < d || float64(up) > 1.13*float64(d)+1000 {
			t.Fatalf("%v is in bucket %d, whose upper bound is %v", d, b, up)
		}
	}
}

func TestCountsAreExactAndQuantilesClose(t *testing.T) {
	r := newRecorder(10)
	e := Endpoint{Service: "orders", Method: "GET /x"}
	for i := 1; i <= 1000; i++ {
		var err error
		if i%10 == 0 {
			err = errors.New("x")
		}
		if i%100 == 1 {
			err = fmt.Errorf("gave up: %w", context.Canceled) // nobody's fault
		}
		r.observe(e, time.Duration(i)*time.Millisecond, err)
	}
	all, _ := r.stats()
	for name, c := range map[string]Counts{"total": all[0].Total, "window": all[0].Window} {
		if c.Calls != 1000 || c.Errors != 100 || c.Max != time.Second || c.Sum != 500500*time.Millisecond {
			t.Errorf("%s: %+v", name, c)
		}
		for _, q := range []struct{ got, want time.Duration }{{c.P50, 500 * time.Millisecond}, {c.P95, 950 * time.Millisecond}, {c.P99, 990 * time.Millisecond}} {
			if q.got < q.want || float64(q.got) > 1.13*float64(q.want) {
				t.Errorf("%s: quantile %v, want %v to +13 %%", name, q.got, q.want)
			}
		}
	}
}

func TestWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder(10)
		e := Endpoint{Method: "m"}
		for range 12 { // two minutes, one call each 10 s
			r.observe(e, time.Millisecond, nil)
			time.Sleep(10 * time.Second)
		}
		all, _ := r.stats()
		if n := all[0].Window.Calls; n < 5 || n > 6 {
			t.Errorf("%d calls in the window, want those of the last minute", n)
		}
		if n := all[0].Total.Calls; n != 12 {
			t.Errorf("%d calls in all, want 12", n)
		}
		time.Sleep(time.Hour)
		all, _ = r.stats()
		if n := all[0].Window.Calls; n != 0 {
			t.Errorf("%d calls in the window after an hour, want none", n)
		}
	})
}

func TestEndpointsAreBounded(t *testing.T) {
	r := newRecorder(10)
	for i := range 100 {
		r.observe(Endpoint{Method: fmt.Sprint(i)}, time.Millisecond, nil)
	}
	all, dropped := r.stats()
	var calls uint64
	for _, e := range all {
		calls += e.Total.Calls
	}
	if len(all) != 11 || calls != 100 || dropped != 90 {
		t.Errorf("%d endpoints, %d calls, %d dropped; want 11, 100, 90", len(all), calls, dropped)
	}
}

func TestEnterIsLeftOnce(t *testing.T) {
	r := newRecorder(10)
	e := Endpoint{Method: "m"}
	a, b := r.enter(e), r.enter(e)
	for i, leave := range []func(){func() {}, a, a, b, b, a} {
		leave()
		if all, _ := r.stats(); all[0].InFlight != []int64{2, 1, 1, 0, 0, 0}[i] {
			t.Errorf("step %d: %d in flight", i, all[0].InFlight)
		}
	}
}

func TestObserveIsSafeAndDoesNotAllocate(t *testing.T) {
	r := newRecorder(100)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				r.observe(Endpoint{Method: fmt.Sprint(rand.IntN(20))}, time.Duration(rand.IntN(1e9)), nil)
			}
		})
	}
	wg.Wait()
	all, _ := r.stats()
	var calls uint64
	for _, e := range all {
		calls += e.Window.Calls
	}
	if calls != 8000 {
		t.Errorf("%d calls, want 8000", calls)
	}
	e := Endpoint{Service: "orders", Method: "m"}
	if n := testing.AllocsPerRun(100, func() { r.observe(e, time.Millisecond, nil) }); n > 0 {
		t.Errorf("%v allocations per call, want none", n)
	}
}

func TestProcessNumbers(t *testing.T) {
	runtime.GC()
	p := process(time.Now().Add(-time.Minute))
	if p.GCPause <= 0 || p.GCPause > time.Hour || p.SchedDelay <= 0 || p.SchedDelay > time.Hour || p.GCs == 0 {
		t.Errorf("of distributions: %+v", p)
	}
	if p.Goroutines == 0 || p.HeapLive == 0 || p.CPUs == 0 || p.Uptime < time.Minute || p.Go == "" {
		t.Errorf("got %+v", p)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := newRecorder(100)
	e := Endpoint{Service: "orders", Method: "GET /x"}
	b.ReportAllocs()
	for b.Loop() {
		r.observe(e, time.Millisecond, nil)
	}
}
