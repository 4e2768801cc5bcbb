package metrics

import (
	"context"
	"slices"
	"strings"
)

// scope is a Metrics: the whole, or a part with a prefix and labels.
type scope struct {
	*front
	root   bool // its Close closes all
	prefix string
	keys   []string
	values []string
}

func (s *scope) With(prefix string, labels ...Label) Metrics {
	return s.with(prefix, labels)
}

// with returns the scope below s. An equal key replaces the outer one's value.
func (s *scope) with(prefix string, labels []Label) *scope {
	inner := &scope{front: s.front, prefix: join(s.prefix, prefix), keys: slices.Clone(s.keys), values: slices.Clone(s.values)}
	for _, l := range labels {
		k := cleanKey(l.Key)
		if i := slices.Index(inner.keys, k); i >= 0 {
			inner.values[i] = l.Value
			continue
		}
		inner.keys, inner.values = append(inner.keys, k), append(inner.values, l.Value)
	}
	return inner
}

// join puts prefix before a name, in the style of the two.
func join(prefix, name string) string {
	switch {
	case prefix == "" || name == "":
		return prefix + name
	case strings.Contains(prefix, ".") || strings.Contains(name, "."):
		return prefix + "." + name
	}
	return prefix + "_" + name
}

func (s *scope) name(name string) string {
	if name == "" {
		return ""
	}
	return cleanName(join(s.prefix, name))
}

func (s *scope) allKeys(keys []string) []string {
	all := slices.Clone(s.keys)
	for _, k := range keys {
		all = append(all, cleanKey(k))
	}
	return all
}

func asCounter(s *series) Counter     { return s.counter }
func asGauge(s *series) Gauge         { return s.gauge }
func asHistogram(s *series) Histogram { return s.histogram }

// vecOf returns the Vec of an instrument in this scope, always the same one.
func vecOf[T any](s *scope, name string, kind Kind, keys []string, opts []InstrumentOption, wrap func(*series) T, none T) *Vec[T] {
	f := s.registry.family(s.name(name), kind, s.allKeys(keys), opts)
	if f == nil {
		return newVec[T](nil, nil, len(keys), wrap, none)
	}
	k := key(s.values, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	if v, ok := f.vecs[k].(*Vec[T]); ok {
		return v
	}
	v := newVec(f, s.values, len(keys), wrap, none)
	if f.limit < 0 || len(f.vecs) < max(f.limit, 1) { // else scopes would grow without bound
		f.vecs[k] = v
	}
	return v
}

func (s *scope) Counter(name string, opts ...InstrumentOption) Counter {
	return s.CounterVec(name, nil, opts...).With()
}

func (s *scope) Gauge(name string, opts ...InstrumentOption) Gauge {
	return s.GaugeVec(name, nil, opts...).With()
}

func (s *scope) Histogram(name string, opts ...InstrumentOption) Histogram {
	return s.HistogramVec(name, nil, opts...).With()
}

func (s *scope) CounterVec(name string, keys []string, opts ...InstrumentOption) *Vec[Counter] {
	return vecOf[Counter](s, name, KindCounter, keys, opts, asCounter, noCounter{})
}

func (s *scope) GaugeVec(name string, keys []string, opts ...InstrumentOption) *Vec[Gauge] {
	return vecOf[Gauge](s, name, KindGauge, keys, opts, asGauge, noGauge{})
}

func (s *scope) HistogramVec(name string, keys []string, opts ...InstrumentOption) *Vec[Histogram] {
	return vecOf[Histogram](s, name, KindHistogram, keys, opts, asHistogram, noHistogram{})
}

func (s *scope) GaugeFunc(name string, f func() float64, labels ...Label) (unregister func()) {
	in := s.with("", labels)
	one := s.registry.family(s.name(name), KindGauge, in.keys, nil)
	if one == nil || f == nil {
		return func() {}
	}
	return one.read(in.values, f)
}

func (s *scope) OnCollect(f func()) (unregister func()) {
	if f == nil {
		return func() {}
	}
	return s.registry.onCollect(f)
}

func (s *scope) Snapshot() Snapshot { return s.registry.snapshot(-1) }

func (s *scope) Close(ctx context.Context) error {
	if !s.root {
		return nil
	}
	return s.front.close(ctx)
}

// cleanName makes a name match [a-zA-Z_:][a-zA-Z0-9_.:]*. What a backend can't
// carry of that it maps: see internal/promname.
func cleanName(name string) string { return clean(name, ':') }

// cleanKey makes a label key match [a-zA-Z_][a-zA-Z0-9_.]*.
func cleanKey(k string) string { return clean(k, '_') }

func clean(s string, also byte) string {
	if s == "" {
		return "_"
	}
	ok := func(c byte, i int) bool {
		return c == '_' || c == also || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || i > 0 && (c == '.' || '0' <= c && c <= '9')
	}
	for i := range len(s) {
		if ok(s[i], i) {
			continue
		}
		var b strings.Builder
		if c := s[0]; c == '.' || '0' <= c && c <= '9' {
			b.WriteByte('_')
		}
		for _, r := range s {
			if r < 0x80 && ok(byte(r), 1) {
				b.WriteByte(byte(r))
			} else {
				b.WriteByte('_')
			}
		}
		return b.String()
	}
	return s
}
