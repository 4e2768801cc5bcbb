package prometheus

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/internal/promname"
)

// The content types of the two formats.
const (
	TextType        = "text/plain; version=0.0.4; charset=utf-8"
	OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// AppendText appends a snapshot in Prometheus' text format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
func AppendText(b []byte, s *metrics.Snapshot) []byte {
	return appendAll(b, s, false)
}

// AppendOpenMetrics appends a snapshot in OpenMetrics 1.0
// (https://prometheus.io/docs/specs/om/open_metrics_spec/).
func AppendOpenMetrics(b []byte, s *metrics.Snapshot) []byte {
	return append(appendAll(b, s, true), "# EOF\n"...)
}

func appendAll(b []byte, s *metrics.Snapshot, open bool) []byte {
	seen := make(map[string]bool, len(s.Families)+1)
	if len(s.Resource) > 0 {
		seen["target_info"], seen["target"] = true, true
		b = appendTarget(b, s.Resource, open)
	}
	for i := range s.Families {
		f := &s.Families[i]
		family := promname.Family(f.Name, f.Unit, promname.Kind(f.Kind))
		if seen[family] { // a_total and a: one of them would make the whole page invalid
			continue
		}
		seen[family] = true
		b = appendFamily(b, f, family, open)
	}
	return b
}

func appendFamily(b []byte, f *metrics.Family, family string, open bool) []byte {
	sample := family
	if f.Kind == metrics.KindCounter {
		sample += "_total"
	}
	head := sample
	if open {
		head = family
	}
	if f.Help != "" {
		b = append(b, "# HELP "...)
		b = append(b, head...)
		b = append(b, ' ')
		b = appendEscaped(b, f.Help, open)
		b = append(b, '\n')
	}
	b = append(b, "# TYPE "...)
	b = append(b, head...)
	b = append(b, ' ')
	b = append(b, f.Kind.String()...)
	b = append(b, '\n')
	if unit := promname.Unit(f.Unit); open && unit != "" && strings.HasSuffix(family, "_"+unit) {
		b = append(b, "# UNIT "...)
		b = append(b, head...)
		b = append(b, ' ')
		b = append(b, unit...)
		b = append(b, '\n')
	}
	keys := make([]string, len(f.Keys))
	for i, k := range f.Keys {
		keys[i] = promname.Key(k)
	}
	for i := range f.Series {
		one := &f.Series[i]
		if f.Kind != metrics.KindHistogram {
			b = append(b, sample...)
			b = appendLabels(b, keys, one.Values, "")
			b = appendValue(b, one.Value)
			continue
		}
		var total uint64
		for j, n := range one.Buckets {
			total += n
			le := "+Inf"
			if j < len(f.Bounds) {
				le = formatFloat(f.Bounds[j])
				if open && !strings.ContainsAny(le, ".e") {
					le += ".0"
				}
			}
			b = append(append(b, sample...), "_bucket"...)
			b = appendLabels(b, keys, one.Values, le)
			b = strconv.AppendUint(b, total, 10)
			if open && j < len(one.Exemplars) {
				b = appendExemplar(b, &one.Exemplars[j])
			}
			b = append(b, '\n')
		}
		b = append(append(b, sample...), "_sum"...)
		b = appendLabels(b, keys, one.Values, "")
		b = appendValue(b, one.Sum)
		b = append(append(b, sample...), "_count"...)
		b = appendLabels(b, keys, one.Values, "")
		b = append(strconv.AppendUint(b, total, 10), '\n')
	}
	return b
}

// appendTarget appends the resource as target_info, which OpenMetrics has a kind
// of its own for.
func appendTarget(b []byte, resource []metrics.Label, open bool) []byte {
	head, kind := "target_info", "gauge"
	if open {
		head, kind = "target", "info"
	}
	b = append(b, "# HELP "+head+" What the process is.\n# TYPE "+head+" "+kind+"\ntarget_info"...)
	keys, values := make([]string, 0, len(resource)), make([]string, 0, len(resource))
	for _, l := range resource {
		if k := promname.Key(l.Key); !slices.Contains(keys, k) {
			keys, values = append(keys, k), append(values, l.Value)
		}
	}
	return append(appendLabels(b, keys, values, ""), "1\n"...)
}

// appendLabels appends {key="value",…} and the space before the value. A label
// without a value is the same as none, and left out.
func appendLabels(b []byte, keys, values []string, le string) []byte {
	before, next := len(b), byte('{')
	for i, k := range keys {
		if values[i] == "" {
			continue
		}
		b = append(b, next)
		b = append(append(b, k...), '=', '"')
		b = appendEscaped(b, values[i], true)
		b = append(b, '"')
		next = ','
	}
	if le != "" {
		b = append(b, next)
		b = append(append(append(b, `le="`...), le...), '"')
	}
	if len(b) > before {
		b = append(b, '}')
	}
	return append(b, ' ')
}

// appendExemplar appends OpenMetrics' " # {labels} value time". The two labels
// have 63 of the 128 characters that it allows.
func appendExemplar(b []byte, e *metrics.Exemplar) []byte {
	if e.Time.IsZero() {
		return b
	}
	b = hex.AppendEncode(append(b, ` # {trace_id="`...), e.TraceID[:])
	b = hex.AppendEncode(append(b, `",span_id="`...), e.SpanID[:])
	b = append(append(b, `"} `...), formatFloat(e.Value)...)
	return strconv.AppendFloat(append(b, ' '), float64(e.Time.UnixMilli())/1e3, 'f', 3, 64)
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

func appendValue(b []byte, v float64) []byte {
	return append(append(b, formatFloat(v)...), '\n')
}

func formatFloat(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
