package metrics

import (
	"context"
	"slices"
	"time"
)

// Metrics makes instruments and exports what they counted. All methods are safe
// for concurrent use.
//
// Asking twice for the same name gives the same instrument. Asking for a name
// with another kind or other label keys than before gives a handle that does
// nothing; so does a name that backends could not tell from another's, such as a
// gauge x_total beside a counter x. A histogram that is there with other buckets
// keeps them. Each is counted in Stats.Conflicts and logged once: an instrument
// is never a reason to stop a program.
type Metrics interface {
	Counter(name string, opts ...InstrumentOption) Counter
	UpDownCounter(name string, opts ...InstrumentOption) UpDownCounter
	Gauge(name string, opts ...InstrumentOption) Gauge
	Histogram(name string, opts ...InstrumentOption) Histogram
	CounterVec(name string, keys []string, opts ...InstrumentOption) *Vec[Counter]
	UpDownCounterVec(name string, keys []string, opts ...InstrumentOption) *Vec[UpDownCounter]
	GaugeVec(name string, keys []string, opts ...InstrumentOption) *Vec[Gauge]
	HistogramVec(name string, keys []string, opts ...InstrumentOption) *Vec[Histogram]
	// GaugeFunc calls f at every export and scrape, concurrently with anything.
	// A series of the same name and labels replaces the one before. Without a
	// value at that time are a function that returns NaN or an infinity, that
	// panics, or that has not returned after a second; the first failure is
	// logged. A function over the limit of series is left out.
	GaugeFunc(name string, f func() float64, labels ...Label) (unregister func())
	// OnCollect calls f before every snapshot, export and scrape, for instruments
	// whose values are read from elsewhere: f sets gauges and adds to counters.
	// Calls are one at a time; those who collect at the same time share one. It
	// waits a second at most for f, and not again for one that still runs; the
	// first time that f hangs or panics is logged. f must not collect itself.
	OnCollect(f func()) (unregister func())
	// With returns a scope: its instruments have prefix before their names,
	// joined by "_", or by "." if one of them has a dot, and labels on every
	// series. Closing belongs to the whole.
	With(prefix string, labels ...Label) Metrics
	// Snapshot returns the state of every series now.
	Snapshot() Snapshot
	Stats() Stats
	// Flush exports now and returns when that is done, or failed, or ctx ended.
	Flush(ctx context.Context) error
	// Close exports for the last time, bounded by ctx, and releases the
	// backends. Handles stay usable, to no effect. On a scope it does nothing.
	Close(ctx context.Context) error
}

// Counter only goes up.
type Counter interface {
	Inc()
	// Add adds n. A negative n is ignored and counted in Stats.Invalid.
	Add(n int64)
}

// UpDownCounter counts what comes and goes, such as requests in progress: values
// that make sense when they are added up over instances. It begins at 0.
type UpDownCounter interface {
	Inc()
	Dec()
	// Add adds delta, which may be negative. One beyond 2^61 is ignored and
	// counted in Stats.Invalid.
	Add(delta int64)
}

// Gauge is a level, such as a temperature or a share. NaN and the infinities
// are ignored and counted in Stats.Invalid.
type Gauge interface {
	Set(v float64)
	Add(delta float64)
}

// Histogram counts values in buckets. Durations are in seconds; backends
// convert where their receivers expect something else. NaN and the infinities
// are ignored and counted in Stats.Invalid.
type Histogram interface {
	Observe(v float64)
	// ObserveContext is Observe, and keeps v with the ids of the sampled span in
	// ctx as the exemplar of its bucket, instead of the one before. Without such
	// a span it is Observe alone. It does not allocate, but at the first
	// exemplar of a series.
	ObserveContext(ctx context.Context, v float64)
	// ObserveSince observes the seconds that passed since t.
	ObserveSince(t time.Time)
}

// Label is one dimension of a series.
type Label struct{ Key, Value string }

// Kind is what an instrument measures.
type Kind uint8

// The kinds.
const (
	KindCounter Kind = iota
	KindGauge
	KindHistogram
	KindSummary // of WithRuntime alone
	KindUpDownCounter
)

// String returns the kind's name, such as "counter" or "up-down counter".
func (k Kind) String() string {
	switch k {
	case KindGauge:
		return "gauge"
	case KindUpDownCounter:
		return "up-down counter"
	case KindHistogram:
		return "histogram"
	case KindSummary:
		return "summary"
	}
	return "counter"
}

// Overflow is the value of every label of the series that takes what is
// counted over an instrument's limit of series.
const Overflow = "__overflow__"

// Snapshot is the state of all series at one time. It is the reader's own.
type Snapshot struct {
	Time     time.Time
	Resource []Label  // what WithResource said of the process
	Families []Family // by name
}

// Family is all series of one instrument.
type Family struct {
	Name   string
	Help   string
	Unit   string // as Unit said it; may be empty
	Kind   Kind
	Keys   []string  // label keys, in the order of Series.Values
	Bounds []float64 // upper bounds of a histogram's buckets; one for +Inf is not listed
	Series []Series  // by values
}

// Series is one combination of label values of an instrument.
type Series struct {
	ID      uint64    // the same in every snapshot of one process, never reused
	Values  []string  // as many as Family.Keys; "" for a label that the series doesn't have
	Created time.Time // when it began to count
	Value   float64   // of a gauge, a counter or an up-down counter
	Count   uint64    // of a counter, in whole numbers; of a histogram or summary, the number of observations
	Sum     float64   // of a histogram or summary
	Buckets []uint64  // of a histogram, not cumulative, one more than Family.Bounds
	// Exemplars of a histogram has one for each of Buckets, of which those
	// without have a zero Time; nil if there is none.
	Exemplars []Exemplar
	Quantiles []Quantile // of a summary
	Native    *Native    // of a histogram, with WithNativeHistograms
	Samples   []Sample   // of a histogram, since this driver's last export; only for a driver that asked for them
}

// Quantile is the value below which a share of the observations is.
type Quantile struct {
	Share float64 // 0 to 1
	Value float64
}

// Sample is an observation that stands for Weight observations. Weights are
// powers of two, and add up to exactly what was observed.
type Sample struct {
	Value  float64
	Weight uint64
}

// Find returns the series of a family by its label values.
func (s Snapshot) Find(name string, values ...string) (Series, bool) {
	for i := range s.Families {
		if s.Families[i].Name != name {
			continue
		}
		for _, one := range s.Families[i].Series {
			if slices.Equal(one.Values, values) {
				return one, true
			}
		}
	}
	return Series{}, false
}

// Match returns the series of a family that have all of the labels. An empty
// value stands for a label that the series doesn't have.
func (s Snapshot) Match(name string, labels ...Label) []Series {
	var found []Series
	for i := range s.Families {
		if f := &s.Families[i]; f.Name == name {
			for _, one := range f.Series {
				if one.has(f.Keys, labels) {
					found = append(found, one)
				}
			}
		}
	}
	return found
}

func (s *Series) has(keys []string, labels []Label) bool {
	for _, l := range labels {
		value := ""
		if i := slices.Index(keys, l.Key); i >= 0 {
			value = s.Values[i]
		}
		if value != l.Value {
			return false
		}
	}
	return true
}

// Stats counts since New.
type Stats struct {
	Series     int               // now
	Overflowed map[string]uint64 // by instrument: series that were asked for over the limit
	Conflicts  uint64            // instruments that were refused, or kept other buckets than asked for
	Freed      uint64            // series that were freed because they were idle
	Invalid    uint64            // values that were ignored, and functions that failed
	Exporters  []ExporterStats
}

// ExporterStats counts what one push backend did.
type ExporterStats struct {
	Exporter  string
	Exports   uint64
	Errors    uint64 // exports that failed, in whole or in part
	Packets   uint64 // datagrams or requests sent
	Bytes     uint64
	Dropped   uint64 // packets that could not be sent
	Sanitized uint64 // names, keys or values that the dialect made us change
	LastError string
}
