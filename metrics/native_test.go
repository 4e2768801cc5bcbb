package metrics_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/micro/go-platform/metrics"
)

// nativeOf observes values and returns the native histogram.
func nativeOf(t testing.TB, values ...float64) *metrics.Native {
	t.Helper()
	m := open(t, metrics.WithNativeHistograms())
	h := m.Histogram("h", metrics.Buckets(1))
	for _, v := range values {
		h.Observe(v)
	}
	return find(t, m, "h").Native
}

// counted returns how many of values are in a bucket by the definition.
func counted(values []float64, scale, index int) (n uint64) {
	base := math.Exp2(math.Exp2(-float64(scale)))
	low, high := math.Pow(base, float64(index)), math.Pow(base, float64(index+1))
	for _, v := range values {
		if v > low && v <= high {
			n++
		}
	}
	return n
}

func total(b metrics.NativeBuckets) (n uint64) {
	for _, c := range b.Counts {
		n += c
	}
	return n
}

func TestNativeBucketsHoldWhatTheyShould(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := func(n int, f func() float64) (all []float64) {
		for range n {
			all = append(all, f())
		}
		return all
	}
	for name, values := range map[string][]float64{
		"one":         {.3},
		"narrow":      some(1000, func() float64 { return 1 + r.Float64()/10 }),
		"latencies":   some(1000, func() float64 { return math.Exp(r.NormFloat64()*2 - 4) }),
		"wide":        some(1000, func() float64 { return math.Exp(r.NormFloat64() * 50) }),
		"downwards":   {1e6, 1e3, 1, 1e-3, 1e-6},
		"upwards":     {1e-6, 1e-3, 1, 1e3, 1e6},
		"all there's": {math.SmallestNonzeroFloat64, math.MaxFloat64, 1},
	} {
		n := nativeOf(t, values...)
		if total(n.Positive) != uint64(len(values)) || n.ZeroCount != 0 || len(n.Negative.Counts) != 0 {
			t.Errorf("%s: %+v, want %d values", name, n, len(values))
		}
		c := n.Positive.Counts
		if len(c) > 160 || c[0] == 0 || c[len(c)-1] == 0 {
			t.Errorf("%s: %d buckets, the first with %d, the last with %d", name, len(c), c[0], c[len(c)-1])
		}
		// As fine as 160 buckets allow.
		width := math.Exp2(math.Exp2(-float64(n.Scale + 1)))
		if spread := math.Log(slices.Max(values)) - math.Log(slices.Min(values)); n.Scale < 8 && spread/math.Log(width) < 158 {
			t.Errorf("%s: scale %d is coarser than %v needs", name, n.Scale, spread)
		}
		if name == "all there's" || name == "wide" {
			continue // the oracle has no exact powers that large
		}
		for i, got := range c {
			if want := counted(values, n.Scale, n.Positive.Offset+i); got != want {
				t.Errorf("%s: bucket %d of scale %d has %d, want %d", name, n.Positive.Offset+i, n.Scale, got, want)
			}
		}
	}
}

// A power of two is the upper end of its bucket at any scale.
func TestPowersOfTwoAreUpperEnds(t *testing.T) {
	for _, v := range []float64{.25, .5, 1, 2, 1024} {
		n := nativeOf(t, v)
		index := n.Positive.Offset
		if want := int(math.Log2(v))<<n.Scale - 1; n.Scale != 8 || index != want {
			t.Errorf("%v is in bucket %d of scale %d, want %d of 8", v, index, n.Scale, want)
		}
	}
}

func TestNativeSignsAndZero(t *testing.T) {
	n := nativeOf(t, 0, math.Copysign(0, -1), -2, -2, 2, math.NaN(), math.Inf(-1))
	if n.ZeroCount != 2 || total(n.Negative) != 2 || total(n.Positive) != 1 || n.Negative.Offset != n.Positive.Offset {
		t.Errorf("%+v", n)
	}
}

// Both sides keep one scale, whichever of them needs the coarser one.
func TestBothSidesHaveOneScale(t *testing.T) {
	for _, sign := range []float64{1, -1} {
		n := nativeOf(t, sign*1, sign*1.001, -sign*1e-9, -sign*1e9)
		sides := []metrics.NativeBuckets{n.Positive, n.Negative}
		if total(sides[0]) != 2 || total(sides[1]) != 2 || len(sides[0].Counts) > 2 && len(sides[1].Counts) > 2 {
			t.Errorf("%+v", n)
		}
	}
}

func TestNativeSince(t *testing.T) {
	m := open(t, metrics.WithNativeHistograms())
	h := m.Histogram("h")
	for _, v := range []float64{0, 1, 1.001, -3} {
		h.Observe(v)
	}
	before := find(t, m, "h").Native
	for _, v := range []float64{0, 1.001, 1000, -.001} {
		h.Observe(v)
	}
	now := find(t, m, "h").Native
	if before.Scale <= now.Scale {
		t.Fatalf("scale %d, then %d: nothing is shown", before.Scale, now.Scale)
	}
	d := now.Since(before)
	if d.ZeroCount != 1 || total(d.Positive) != 2 || total(d.Negative) != 1 || d.Scale != now.Scale {
		t.Errorf("%+v", d)
	}
	for _, v := range []float64{1.001, 1000} {
		if i := int(math.Ceil(math.Log2(v)*math.Exp2(float64(d.Scale)))) - 1 - d.Positive.Offset; d.Positive.Counts[i] != 1 {
			t.Errorf("%v is not in bucket %d of %+v", v, i, d.Positive)
		}
	}
	if now.ZeroCount != 2 || before.ZeroCount != 1 || total(before.Positive) != 2 {
		t.Errorf("Since changes what it compares: %+v, %+v", before, now)
	}
	if d := now.Since(nil); total(d.Positive) != 4 {
		t.Errorf("since nothing: %+v", d)
	}
}

func TestNativeCountsAgreeInASnapshot(t *testing.T) {
	m := open(t, metrics.WithNativeHistograms())
	h := m.Histogram("h")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 2000 {
				h.Observe(float64(i*j%97) / 10)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		s, ok := m.Snapshot().Find("h")
		if ok && s.Count != s.Native.ZeroCount+total(s.Native.Positive) {
			t.Fatalf("%d observations, %d in native buckets", s.Count, s.Native.ZeroCount+total(s.Native.Positive))
		}
	}
	if s := find(t, m, "h"); s.Count != 8000 {
		t.Errorf("%d of 8000", s.Count)
	}
}

func TestNativeIsNotTheDefault(t *testing.T) {
	m := open(t)
	m.Histogram("h").Observe(1)
	if s := find(t, m, "h"); s.Native != nil {
		t.Errorf("%+v", s.Native)
	}
}

func TestNativeDoesNotAllocate(t *testing.T) {
	h := open(t, metrics.WithNativeHistograms()).Histogram("h")
	for i := range 1000 {
		h.Observe(float64(i) / 10)
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() { i++; h.Observe(float64(i%1000) / 10) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
