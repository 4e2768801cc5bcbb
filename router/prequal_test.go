package router_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// busy is servers whose loads a test sets; it answers probes.
type busy struct {
	mu     sync.Mutex
	loads  map[string]router.Load
	probes int
	err    error
}

func (b *busy) set(id string, l router.Load) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loads == nil {
		b.loads = map[string]router.Load{}
	}
	b.loads[id] = l
}

func (b *busy) probe(_ context.Context, in *discovery.Instance) (router.Load, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probes++
	return b.loads[in.ID], b.err
}

// spread makes n calls, waits for their probes after each, and counts by instance.
func spread(t testing.TB, w *world, n int) map[string]int {
	got := map[string]int{}
	for range n {
		p := w.pick(t)
		got[p.Instance.ID]++
		time.Sleep(10 * time.Millisecond)
		p.Done(router.Outcome{Latency: 10 * time.Millisecond})
	}
	return got
}

func TestPrequalAvoidsWhatOthersKeepBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &busy{}
		w := client(t, 8, router.WithStrategy(router.Prequal(b.probe, router.Probing{})))
		for _, s := range fleet(8) {
			b.set(s.ID, router.Load{InFlight: 2, Latency: 10 * time.Millisecond})
		}
		b.set("n0000", router.Load{InFlight: 40, Latency: 5 * time.Millisecond}) // hot
		b.set("n0001", router.Load{InFlight: 2, Latency: 80 * time.Millisecond}) // cold, but slow
		spread(t, w, 50)
		b.mu.Lock()
		b.probes = 0
		b.mu.Unlock()
		got := spread(t, w, 1000)
		if got["n0000"] > 30 || got["n0001"] > 30 {
			t.Errorf("of 1000 calls %d went to one that is hot and %d to one that is slow", got["n0000"], got["n0001"])
		}
		b.mu.Lock()
		probes := b.probes
		b.mu.Unlock()
		if probes < 2800 || probes > 3200 {
			t.Errorf("%d probes for 1000 calls, want 3 each", probes)
		}
		b.set("n0000", router.Load{InFlight: 0, Latency: time.Millisecond})
		spread(t, w, 20)
		if got := spread(t, w, 200); got["n0000"] < 50 {
			t.Errorf("of 200 calls %d went to one that has become free, want many", got["n0000"])
		}
	})
}

func TestPrequalUsesNoAnswerForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &busy{}
		w := client(t, 8, router.WithStrategy(router.Prequal(b.probe, router.Probing{PerCall: 1})))
		for _, s := range fleet(8) {
			b.set(s.ID, router.Load{InFlight: 5, Latency: 50 * time.Millisecond})
		}
		b.set("n0000", router.Load{InFlight: 0, Latency: time.Millisecond})
		spread(t, w, 50)
		b.mu.Lock()
		b.err = errors.New("no answer")
		b.mu.Unlock()
		synctest.Wait()
		// Without another answer: the free one must not get them all.
		got := map[string]int{}
		var open []router.Pick
		for range 60 {
			p := w.pick(t)
			got[p.Instance.ID]++
			open = append(open, p)
		}
		if got["n0000"] > 30 {
			t.Errorf("%d of 60 calls in a moment went to the instance that was free", got["n0000"])
		}
		for _, p := range open {
			p.Done(router.Outcome{Latency: time.Millisecond})
		}
		time.Sleep(2 * time.Second) // older than MaxAge
		if got := w.shares(t, 800, ok); len(got) < 8 {
			t.Errorf("without answers %v were called, want all as least cost does", got)
		}
	})
}

func TestProbesThatHangHoldNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		under, most := 0, 0
		w := client(t, 8, router.WithStrategy(router.Prequal(func(ctx context.Context, _ *discovery.Instance) (router.Load, error) {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			under--
			mu.Unlock()
			return router.Load{}, ctx.Err()
		}, router.Probing{Parallel: 10})))
		began := time.Now()
		w.shares(t, 1000, ok)
		if d := time.Since(began); d > 0 {
			t.Errorf("1000 calls waited for %v", d)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if most != 10 {
			t.Errorf("%d probes under way at a time, want 10", most)
		}
		mu.Unlock()
		time.Sleep(time.Second) // they have ended
		w.shares(t, 1000, ok)
		synctest.Wait()
		mu.Lock()
		if under != 10 || most != 10 {
			t.Errorf("later %d are under way, and %d were at most, want 10 again", under, most)
		}
	})
}

func TestBadProbingIsRefused(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	probe := (&busy{}).probe
	used := router.Prequal(probe, router.Probing{})
	r, err := router.New(router.WithDiscovery(d), router.WithStrategy(used))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	for name, s := range map[string]router.Strategy{
		"nil": router.Prequal(nil, router.Probing{}), "used": used, "per call": router.Prequal(probe, router.Probing{PerCall: -1}),
		"pool": router.Prequal(probe, router.Probing{Pool: -1}), "quantile": router.Prequal(probe, router.Probing{Quantile: 2}),
		"age": router.Prequal(probe, router.Probing{MaxAge: -1}), "timeout": router.Prequal(probe, router.Probing{Timeout: -1}), "parallel": router.Prequal(probe, router.Probing{Parallel: -1}),
	} {
		if _, err := router.New(router.WithDiscovery(d), router.WithStrategy(s)); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func BenchmarkPrequal(b *testing.B) {
	bs := &busy{}
	w := chancy(b, router.WithStrategy(router.Prequal(bs.probe, router.Probing{})))
	w.nodes(b, 100)
	b.ReportAllocs()
	for b.Loop() {
		w.pick(b).Done(router.Outcome{Latency: time.Millisecond})
	}
}
