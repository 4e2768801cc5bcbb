package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/trace"
)

// names returns which of the series are there, by the first label's value.
func names(m metrics.Metrics) map[string]metrics.Series {
	all := map[string]metrics.Series{}
	for _, f := range m.Snapshot().Families {
		for _, s := range f.Series {
			name := f.Name
			if len(s.Values) > 1 {
				name += " " + s.Values[1]
			}
			all[name] = s
		}
	}
	return all
}

func TestIdleSeriesAreFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, metrics.WithIdle(time.Minute), metrics.WithNativeHistograms(), metrics.WithLabels(metrics.Label{Key: "env", Value: "test"}))
		keys := []string{"k"}
		c, h, g := m.CounterVec("c", keys), m.HistogramVec("h", keys, metrics.Buckets(1)), m.GaugeVec("g", keys)
		kept := c.With("kept")
		keptH, keptG := h.With("kept"), g.With("kept")
		use := func() {
			kept.Add(2)
			keptH.Observe(.5)
			keptH.Observe(3)
			c.With("looked up").Inc()
			h.With("looked up").Observe(2)
		}
		use()
		keptG.Add(1)
		keptG.Add(-1)
		g.With("level").Set(5)
		g.With("zero").Set(0)
		m.Counter("unlabelled").Inc()
		m.GaugeFunc("f", func() float64 { return 0 }, metrics.Label{Key: "k", Value: "function"})
		before := names(m)
		if len(before) != 9 {
			t.Fatalf("%v", before)
		}
		for range 3 { // whatever is used stays
			time.Sleep(50 * time.Second)
			c.With("looked up").Inc()
		}
		stay := map[string]bool{"c looked up": true, "g level": true, "unlabelled": true, "f function": true}
		after := names(m)
		for name, s := range before {
			now, there := after[name]
			if there != stay[name] || there && now.ID != s.ID {
				t.Errorf("%s is there: %v, want %v: %+v", name, there, stay[name], now)
			}
		}
		if s := m.Stats(); s.Freed != 5 || s.Series != 4 {
			t.Errorf("%d freed, %d left", s.Freed, s.Series)
		}

		use()
		keptG.Add(3)
		g.With("zero").Set(7)
		again := names(m)
		for name, want := range map[string]string{"c kept": "2 0 []", "h kept": "2 3.5 [1 1]", "h looked up": "1 2 [0 1]", "g kept": "3", "g zero": "7", "c looked up": "5 0 []"} {
			s := again[name]
			got := fmt.Sprint(s.Count, s.Sum, s.Buckets)
			if s.Buckets == nil && s.Count == 0 {
				got = fmt.Sprint(s.Value)
			}
			if got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
			if fresh := s.ID != before[name].ID && s.Created.After(before[name].Created); fresh == stay[name] {
				t.Errorf("%s has a beginning of its own: %v", name, fresh)
			}
			if n := s.Native; n != nil && total(n.Positive) != s.Count {
				t.Errorf("%s: native %+v", name, n)
			}
		}
		if s := again["h kept"]; s.Native.Scale != 5 {
			t.Errorf("native buckets that came back are at scale %d", s.Native.Scale)
		}
	})
}

func TestWithoutIdleNothingIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t)
		m.CounterVec("c", []string{"k"}).With("v").Inc()
		time.Sleep(1000 * time.Hour)
		find(t, m, "c", "v")
	})
}

// A handle that was kept while another took its place counts in that one.
func TestHandlesOfOneSeriesMeetAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, metrics.WithIdle(time.Minute))
		c, h, g := m.CounterVec("c", []string{"k"}), m.HistogramVec("h", []string{"k"}, metrics.Buckets(1)), m.GaugeVec("g", []string{"k"})
		oldC, oldH, oldG := c.With("v"), h.With("v"), g.With("v")
		time.Sleep(2 * time.Minute)
		c.With("v").Inc()
		h.With("v").Observe(2)
		g.With("v").Set(2)
		for range 2 {
			oldC.Add(10)
			oldH.Observe(.5)
			oldG.Add(.5)
		}
		c.With("v").Inc()
		if s := find(t, m, "c", "v"); s.Count != 22 {
			t.Errorf("counter %d", s.Count)
		}
		if s := find(t, m, "h", "v"); fmt.Sprint(s.Buckets, s.Sum) != "[2 1] 3" {
			t.Errorf("histogram %+v", s)
		}
		if s := find(t, m, "g", "v"); s.Value != 3 {
			t.Errorf("gauge %v", s.Value)
		}
		oldG.Set(9)
		if s := find(t, m, "g", "v"); s.Value != 9 {
			t.Errorf("gauge %v", s.Value)
		}
	})
}

func TestFreedSeriesMakeRoomBelowTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, metrics.WithIdle(time.Minute), metrics.WithSeriesLimit(10), metrics.WithLogger(slog.New(slog.DiscardHandler)))
		c := m.CounterVec("c", []string{"k"})
		old := c.With("0")
		for i := range 30 {
			c.With(fmt.Sprint(i)).Inc()
		}
		time.Sleep(2 * time.Minute)
		for i := range 30 {
			c.With(fmt.Sprint("new", i)).Inc()
		}
		old.Inc() // there is no room for it now
		snap := m.Snapshot()
		if n := len(snap.Families[0].Series); n != 11 {
			t.Errorf("%d series, want 10 and the overflow", n)
		}
		for i := range 10 {
			find(t, m, "c", fmt.Sprint("new", i))
		}
		if s := find(t, m, "c", metrics.Overflow); s.Count != 20+20+1 {
			t.Errorf("the overflow has %d", s.Count)
		}
	})
}

// What no push backend has had yet is not freed.
func TestOnlyWhatWasPushedIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		good, bad := &sink{}, &sink{}
		bad.export = func(context.Context, *metrics.Snapshot) (metrics.Sent, error) {
			if down.Load() {
				return metrics.Sent{}, errors.New("down")
			}
			return metrics.Sent{}, nil
		}
		m := open(t, metrics.WithIdle(time.Minute), driver("good", good), driver("bad", bad), metrics.WithLogger(slog.New(slog.DiscardHandler)))
		c := m.CounterVec("c", []string{"k"})
		c.With("before").Inc()
		time.Sleep(30 * time.Second)
		down.Store(true)
		c.With("during").Inc()
		time.Sleep(time.Hour)
		if _, ok := m.Snapshot().Find("c", "before"); ok {
			t.Error("what both had is not freed")
		}
		find(t, m, "c", "during")
		down.Store(false)
		time.Sleep(time.Minute)
		if _, ok := m.Snapshot().Find("c", "during"); ok {
			t.Error("it is not freed when it was pushed")
		}
		counted := uint64(0)
		bad.mu.Lock()
		defer bad.mu.Unlock()
		for _, s := range bad.snaps {
			if one, ok := s.Find("c", "during"); ok {
				counted = one.Count
			}
		}
		if counted != 1 {
			t.Errorf("the backend that was down had %d", counted)
		}
	})
}

// A series that came back and counts as far as the one before is not taken for it.
func TestASeriesThatCameBackIsPushedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		s := &sink{export: func(context.Context, *metrics.Snapshot) (metrics.Sent, error) {
			if down.Load() {
				return metrics.Sent{}, errors.New("down")
			}
			return metrics.Sent{}, nil
		}}
		m := open(t, metrics.WithIdle(time.Minute), driver("s", s), metrics.WithLogger(slog.New(slog.DiscardHandler)))
		c := m.CounterVec("c", []string{"k"}).With("v")
		c.Add(2)
		time.Sleep(2*time.Minute + time.Second)
		if m.Stats().Freed != 1 {
			t.Fatal("not freed")
		}
		c.Inc()
		time.Sleep(11 * time.Second)
		down.Store(true)
		c.Inc()
		time.Sleep(time.Hour)
		if s := find(t, m, "c", "v"); s.Count != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// ledger is a push backend that adds up what series had, each under its own ID.
type ledger struct {
	mu            sync.Mutex
	counts, sizes map[uint64]uint64
	sums          map[uint64]float64
}

func (l *ledger) Export(_ context.Context, s *metrics.Snapshot) (metrics.Sent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range s.Families {
		for _, one := range f.Series {
			switch f.Kind {
			case metrics.KindCounter:
				l.counts[one.ID] = max(l.counts[one.ID], one.Count)
			case metrics.KindHistogram:
				l.sizes[one.ID], l.sums[one.ID] = max(l.sizes[one.ID], one.Count), max(l.sums[one.ID], one.Sum)
			}
		}
	}
	return metrics.Sent{}, nil
}
func (l *ledger) Ping(context.Context) error { return nil }
func (l *ledger) Close() error               { return nil }

// Series are freed at every moment while they are used: what was counted adds up.
func TestNothingIsLostWhenSeriesAreFreed(t *testing.T) {
	for _, native := range []bool{false, true} {
		l := &ledger{counts: map[uint64]uint64{}, sizes: map[uint64]uint64{}, sums: map[uint64]float64{}}
		opts := []metrics.Option{metrics.WithIdle(time.Millisecond), metrics.WithInterval(time.Millisecond), driver("ledger", l)}
		if native {
			opts = append(opts, metrics.WithNativeHistograms())
		}
		m, err := metrics.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		c, h, g := m.CounterVec("c", []string{"k"}), m.HistogramVec("h", []string{"k"}, metrics.Buckets(1, 2)), m.GaugeVec("g", []string{"k"})
		kept, keptH, keptG := c.With("0"), h.With("0"), g.With("0")
		var wg sync.WaitGroup
		var added, observed atomic.Uint64
		end := time.Now().Add(20 * time.Second)
		for range 6 {
			wg.Go(func() {
				for m.Stats().Freed < 200 && time.Now().Before(end) {
					k := fmt.Sprint(rand.IntN(4))
					keptG.Add(1)
					for range rand.IntN(20) {
						kept.Inc()
						c.With(k).Add(2)
						keptH.Observe(1)
						h.With(k).Observe(float64(rand.IntN(3)) + 1)
						added.Add(3)
						observed.Add(2)
					}
					keptG.Add(-1)
					time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		freed := m.Stats().Freed
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var counts, sizes uint64
		for _, n := range l.counts {
			counts += n
		}
		for _, n := range l.sizes {
			sizes += n
		}
		if counts != added.Load() || sizes != observed.Load() {
			t.Errorf("native %v: counted %d of %d, observed %d of %d", native, counts, added.Load(), sizes, observed.Load())
		}
		if s, ok := m.Snapshot().Find("g", "0"); ok && s.Value != 0 {
			t.Errorf("native %v: the gauge is at %v", native, s.Value)
		}
		if freed < 200 {
			t.Errorf("native %v: %d series freed: too few to show anything", native, freed)
		}
	}
}

// The memory of strangers' series comes back, whatever they had.
func TestStrangersMemoryComesBack(t *testing.T) {
	tr := tracer(t, trace.Ratio(1))
	ctx, span := tr.Start(t.Context(), "x")
	defer span.End()
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	synctest.Test(t, func(t *testing.T) {
		m := open(t, metrics.WithIdle(time.Minute), metrics.WithSeriesLimit(-1), metrics.WithNativeHistograms())
		c, h, g := m.CounterVec("c", []string{"k"}), m.HistogramVec("h", []string{"k"}), m.GaugeVec("g", []string{"k"})
		strangers := func() {
			for i := range 10_000 {
				k := fmt.Sprint("stranger ", i)
				c.With(k).Inc()
				h.With(k).ObserveContext(ctx, 1)
				g.With(k).Add(1)
				g.With(k).Add(-1)
				m.With("", metrics.Label{Key: "tenant", Value: k}).Counter("scoped").Inc()
			}
		}
		before := heap()
		strangers()
		m.Snapshot()
		full := heap()
		time.Sleep(3 * time.Minute)
		m.Snapshot()
		after := heap()
		if s := m.Stats(); s.Series != 0 || s.Freed != 40_000 {
			t.Errorf("%d series are left, %d freed", s.Series, s.Freed)
		}
		// Go's maps keep the room that they had: a fraction of what the series took.
		if held := after - before; full-before < 20<<20 || held > (full-before)/10 {
			t.Errorf("strangers took %d KB, %d KB of them are still held", (full-before)>>10, held>>10)
		}
		strangers()
		if s, _ := m.Snapshot().Find("c", "stranger 7"); s.Count != 1 {
			t.Errorf("a stranger that came back has %d", s.Count)
		}
	})
}
