package metrics

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/metrics/internal/promname"
)

// registry holds every instrument of one Metrics and its scopes.
type registry struct {
	limit    int
	logger   *slog.Logger
	words    words
	resource []Label
	native   bool
	common   int             // labels that all series have
	samplers []int           // samples a series and interval of each driver that wants them
	runtime  func() []Family // nil without WithRuntime

	ids       atomic.Uint64
	invalid   atomic.Uint64
	conflicts atomic.Uint64
	freed     atomic.Uint64

	mu        sync.Mutex
	families  map[string]*family
	taken     map[string]string // what backends write, by which instrument: "x_total" by "x"
	refused   map[string]bool   // what the logger was given
	callbacks []*function       // before a snapshot
}

func newRegistry(limit int, logger *slog.Logger) *registry {
	return &registry{limit: limit, logger: logger, families: map[string]*family{}, taken: map[string]string{}, refused: map[string]bool{}}
}

// family is one instrument.
type family struct {
	registry   *registry
	name       string
	help, unit string
	kind       Kind
	keys       []string
	bounds     []float64
	limit      int
	overflowed atomic.Uint64

	mu       sync.Mutex
	series   map[string]*series
	sorted   []*series      // those and overflow by their values; nil when one came or went
	vecs     map[string]vec // the Vec of each combination of a scope's label values
	overflow *series
}

// series is one combination of label values.
type series struct {
	family    *family
	key       string // in family.series
	id        uint64
	values    []string
	created   time.Time
	counter   *counter
	upDown    *upDown
	gauge     *gauge
	histogram *histogram
	read      *function
	use
}

// family returns the instrument of a name, or nil if it is there with another
// kind or other keys, or writes what another one writes.
func (r *registry) family(name string, kind Kind, keys []string, opts []InstrumentOption) *family {
	defer r.words.tell()
	r.mu.Lock()
	defer r.mu.Unlock()
	var o instrumentOptions
	for _, opt := range opts {
		if opt == nil {
			r.refuse(name, "an option is nil", kind, keys)
			return nil
		}
		opt(&o)
	}
	bounds := cleanBounds(o.bounds)
	if f := r.families[name]; f != nil {
		if f.kind != kind || !slices.Equal(f.keys, keys) {
			r.refuse(name, "it is there with another kind or other keys", kind, keys)
			return nil
		}
		if kind == KindHistogram && len(o.bounds) > 0 && !slices.Equal(f.bounds, bounds) {
			r.refuse(name, "it is there with other buckets, which stay", kind, keys)
		}
		return f
	}
	if name == "" || duplicates(keys) {
		r.refuse(name, "no name, or a key twice", kind, keys)
		return nil
	}
	if other, ok := r.take(name, o.unit, kind); !ok {
		r.refuse(name, "backends could not tell it from "+other, kind, keys)
		return nil
	}
	f := &family{
		registry: r, name: name, help: strings.ToValidUTF8(o.help, "\uFFFD"), unit: o.unit, kind: kind, keys: slices.Clone(keys),
		limit: cmp.Or(o.limit, r.limit), series: map[string]*series{}, vecs: map[string]vec{},
	}
	if kind == KindHistogram {
		f.bounds = bounds
	}
	r.families[name] = f
	return f
}

// take reserves what backends write for an instrument, Prometheus' names above
// all: two instruments that share one make a page that no scraper can read. It
// returns the instrument that was first.
func (r *registry) take(name, unit string, kind Kind) (other string, ok bool) {
	names := written(name, unit, kind)
	for _, w := range names {
		if other, found := r.taken[w]; found {
			return other, false
		}
	}
	for _, w := range names {
		r.taken[w] = name
	}
	return "", true
}

// written returns the names of an instrument's family and samples in
// Prometheus' formats.
func written(name, unit string, kind Kind) []string {
	family := promname.Family(name, unit, promname.Kind(kind))
	return append(promname.Samples(family, promname.Kind(kind)), family)
}

// maxRefused bounds how many refused instruments are logged one by one.
const maxRefused = 100

// refuse counts a conflict and logs it the first time: a hot path may ask again
// and again. r.mu is held.
func (r *registry) refuse(name, why string, kind Kind, keys []string) {
	r.conflicts.Add(1)
	id := key([]string{name, kind.String(), why}, keys)
	if r.refused[id] || len(r.refused) == maxRefused {
		return
	}
	r.refused[id] = true
	r.words.later(func() {
		r.logger.Error("metrics: instrument refused", "name", name, "kind", kind.String(), "keys", keys, "why", why)
	})
}

// duplicates reports whether backends could not tell two of the keys apart.
func duplicates(keys []string) bool {
	shown := make([]string, len(keys))
	for i, k := range keys {
		shown[i] = promname.Key(k)
		if slices.Contains(shown[:i], shown[i]) {
			return true
		}
	}
	return false
}

func cleanBounds(bounds []float64) []float64 {
	if len(bounds) == 0 {
		return DefaultBuckets()
	}
	bounds = slices.DeleteFunc(slices.Clone(bounds), func(b float64) bool { return !finite(b) })
	slices.Sort(bounds)
	return slices.Compact(bounds)
}

// key joins values so that no two combinations meet.
func key(fixed, values []string) string {
	var b strings.Builder
	for _, part := range [2][]string{fixed, values} {
		for _, v := range part {
			b.WriteString(strings.ReplaceAll(v, "\x00", "\x00\x01"))
			b.WriteString("\x00\x00")
		}
	}
	return b.String()
}

// get returns the series of the values, or the one that takes the overflow.
func (f *family) get(fixed, values []string) (s *series, over bool) {
	k := key(fixed, values)
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.series[k]; s != nil {
		return s, false
	}
	if f.full() {
		return f.rest(), true
	}
	s = f.newSeries(k, append(ownText(fixed), ownText(values)...))
	f.put(k, s)
	return s, false
}

// rest returns the series that takes what is over the limit. f.mu is held.
func (f *family) rest() *series {
	f.overflows("the rest is counted together")
	if f.overflow == nil {
		all := make([]string, len(f.keys))
		for i := range all {
			all[i] = Overflow
		}
		f.overflow, f.sorted = f.newSeries("", all), nil
	}
	return f.overflow
}

// put makes s the series of a key; nil takes it away. f.mu is held.
func (f *family) put(key string, s *series) {
	if s == nil {
		delete(f.series, key)
	} else {
		f.series[key] = s
	}
	f.sorted = nil
}

// full reports whether the instrument has all the series it may have. f.mu is held.
func (f *family) full() bool { return f.limit >= 0 && len(f.series) >= f.limit }

// overflows counts what is over the limit. f.mu is held.
func (f *family) overflows(what string) {
	if f.overflowed.Add(1) == 1 {
		f.registry.words.later(func() {
			f.registry.logger.Warn("metrics: too many series, "+what, "name", f.name, "limit", f.limit)
		})
	}
}

// ownText copies label values as valid UTF-8, which formats insist on.
func ownText(values []string) []string {
	own := make([]string, len(values))
	for i, v := range values {
		own[i] = strings.Clone(strings.ToValidUTF8(v, "\uFFFD"))
	}
	return own
}

// ownLabels copies labels as valid UTF-8, in the order of their keys.
func ownLabels(labels []Label) []Label {
	own := make([]Label, len(labels))
	for i, l := range labels {
		own[i] = Label{cleanKey(l.Key), strings.ToValidUTF8(l.Value, "\uFFFD")}
	}
	slices.SortFunc(own, func(a, b Label) int { return strings.Compare(a.Key, b.Key) })
	return own
}

func (f *family) newSeries(key string, values []string) *series {
	r := f.registry
	s := &series{family: f, key: key, id: r.ids.Add(1), values: values, created: time.Now()}
	s.since = s.created
	switch f.kind {
	case KindCounter:
		s.counter = &counter{s: s}
	case KindUpDownCounter:
		s.upDown = &upDown{s: s}
	case KindGauge:
		s.gauge = &gauge{s: s}
	case KindHistogram:
		s.histogram = &histogram{s: s, bounds: f.bounds, buckets: make([]atomic.Uint64, len(f.bounds)+1)}
		if r.native {
			s.histogram.native = &exponential{ends: bounds(), scale: maxScale}
		}
		for _, n := range r.samplers {
			s.histogram.samples = append(s.histogram.samples, newReservoir(n))
		}
	}
	return s
}

// failed is called once for each function that panicked or did not return.
func (f *family) failed(why string) {
	f.registry.invalid.Add(1)
	f.registry.logger.Error("metrics: a gauge's function failed, the gauge has no value", "name", f.name, "why", why)
}

func (f *family) remove(fixed, values []string) bool {
	k := key(fixed, values)
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.series[k]
	f.put(k, nil)
	return ok
}

// read sets a gauge that is a function. Over the limit of series it is left out:
// functions can't be counted together.
func (f *family) read(values []string, fn func() float64) (unregister func()) {
	k := key(values, nil)
	defer f.registry.words.tell()
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.series[k]
	if old == nil && f.full() {
		f.overflows("the rest of its functions is left out")
		return func() {}
	}
	s := f.newSeries(k, ownText(values))
	s.read = &function{call: fn, failed: f.failed} // a Gauge of the same name writes where nobody reads
	if old != nil {
		s.id, s.created = old.id, old.created
	}
	f.put(k, s)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.series[k] == s {
			f.put(k, nil)
		}
	}
}
