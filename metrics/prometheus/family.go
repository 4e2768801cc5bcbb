package prometheus

import (
	"maps"
	"slices"
	"strings"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/internal/promname"
)

// shown is a family under Prometheus' names.
type shown struct {
	*metrics.Family
	family, sample string // without and, of a counter or an info, with its ending
	info           bool   // OpenMetrics has a type for it
	unknown        bool   // OpenMetrics has no type for it: a counter a_total beside a gauge a
	unit           string // "" if the name doesn't end in it
	keys           []string
	labels         []labels // of each series
}

// labels are those of a series as both text formats have them: a="b",c="d".
type labels struct {
	id     uint64
	values []string
	text   string
}

// memo keeps the labels of one page for the next: they are most of what costs
// time to write, and seldom others.
type memo map[string][]labels

// families yields those of a page, under names of which each is there once: two
// of one name would make the whole page invalid.
func families(s *metrics.Snapshot, m memo) func(yield func(*shown) bool) {
	return func(yield func(*shown) bool) {
		seen := make(map[string]bool, len(s.Families)+1)
		if len(s.Resource) > 0 {
			target := targetInfo(s.Resource)
			seen[target.family], seen[target.sample] = true, true
			if !yield(target) {
				return
			}
		}
		for i := range s.Families {
			f := name(&s.Families[i])
			if seen[f.sample] {
				continue
			}
			f.unknown = seen[f.family]
			seen[f.family], seen[f.sample] = true, true
			if m != nil {
				f.labels = f.label(m[f.sample])
				m[f.sample] = f.labels
			}
			if !yield(f) {
				return
			}
		}
		maps.DeleteFunc(m, func(sample string, _ []labels) bool { return !seen[sample] })
	}
}

func name(f *metrics.Family) *shown {
	one := &shown{Family: f, family: promname.Family(f.Name, f.Unit, promname.Kind(f.Kind)), unit: promname.Unit(f.Unit)}
	one.sample = one.family
	if f.Kind == metrics.KindCounter {
		one.sample += "_total"
	}
	if one.unit != "" && !strings.HasSuffix(one.family, "_"+one.unit) {
		one.unit = ""
	}
	for _, k := range f.Keys {
		one.keys = append(one.keys, promname.Key(k))
	}
	return one
}

// targetInfo is the resource as a family, by OpenTelemetry's rules.
func targetInfo(resource []metrics.Label) *shown {
	var keys, values []string
	for _, l := range resource {
		if k := promname.Key(l.Key); !slices.Contains(keys, k) {
			keys, values = append(keys, k), append(values, l.Value)
		}
	}
	f := &shown{
		Family: &metrics.Family{Help: "What the process is.", Kind: metrics.KindGauge, Series: []metrics.Series{{Values: values, Value: 1}}},
		family: "target", sample: "target_info", info: true, keys: keys,
	}
	f.labels = f.label(nil)
	return f
}

// label returns the labels of the series, of which most are as in the page
// before. Both are in the order of their values.
func (f *shown) label(before []labels) []labels {
	now := make([]labels, len(f.Series))
	for i := range f.Series {
		s := &f.Series[i]
		for len(before) > 0 && before[0].id != s.ID && slices.Compare(before[0].values, s.Values) < 0 {
			before = before[1:] // it is there no more
		}
		if len(before) > 0 && before[0].id == s.ID {
			now[i], before = before[0], before[1:]
			continue
		}
		now[i] = labels{s.ID, s.Values, string(appendLabels(nil, f.keys, s.Values))}
	}
	return now
}

// appendLabels appends key="value",… A label without a value is the same as
// none, and left out.
func appendLabels(b []byte, keys, values []string) []byte {
	for i, k := range keys {
		if values[i] == "" {
			continue
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(append(b, k...), '=', '"')
		b = append(appendEscaped(b, values[i], true), '"')
	}
	return b
}

// appendEscaped escapes what the formats ask for in label values and, without
// the quotes, in help texts.
func appendEscaped(b []byte, s string, quotes bool) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			b = append(b, `\\`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '"' && quotes:
			b = append(b, `\"`...)
		default:
			b = append(b, c)
		}
	}
	return b
}
