package prometheus

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/micro/go-platform/metrics"
)

// The content types of the two text formats.
const (
	TextType        = "text/plain; version=0.0.4; charset=utf-8"
	OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// AppendText appends a snapshot in Prometheus' text format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
func AppendText(b []byte, s *metrics.Snapshot) []byte {
	return appendText(b, s, memo{}, false)
}

// AppendOpenMetrics appends a snapshot in OpenMetrics 1.0
// (https://prometheus.io/docs/specs/om/open_metrics_spec/).
func AppendOpenMetrics(b []byte, s *metrics.Snapshot) []byte {
	return appendText(b, s, memo{}, true)
}

func appendText(b []byte, s *metrics.Snapshot, m memo, open bool) []byte {
	for f := range families(s, m) {
		b = f.appendHead(b, open)
		switch f.Kind {
		case metrics.KindHistogram:
			b = f.appendHistograms(b, open)
		case metrics.KindSummary:
			b = f.appendSummaries(b)
		default:
			b = f.appendNumbers(b)
		}
	}
	if open {
		b = append(b, "# EOF\n"...)
	}
	return b
}

func (f *shown) appendHead(b []byte, open bool) []byte {
	head, kind := f.sample, f.Kind.String()
	if f.Kind == metrics.KindUpDownCounter {
		kind = "gauge"
	}
	switch {
	case open && f.unknown:
		kind = "unknown"
	case open:
		head = f.family
		if f.info {
			kind = "info"
		}
	}
	if f.Help != "" {
		b = append(append(append(b, "# HELP "...), head...), ' ')
		b = append(appendEscaped(b, f.Help, open), '\n')
	}
	b = append(append(append(b, "# TYPE "...), head...), ' ')
	b = append(append(b, kind...), '\n')
	if open && f.unit != "" && strings.HasSuffix(head, f.unit) {
		b = append(append(append(b, "# UNIT "...), head...), ' ')
		b = append(append(b, f.unit...), '\n')
	}
	return b
}

func (f *shown) appendNumbers(b []byte) []byte {
	for i := range f.Series {
		s := &f.Series[i]
		b = appendName(b, f.sample, f.labels[i].text)
		if f.Kind == metrics.KindCounter && float64(s.Count) == s.Value {
			b = strconv.AppendUint(b, s.Count, 10)
		} else {
			b = appendFloat(b, s.Value)
		}
		b = append(b, '\n')
	}
	return b
}

func (f *shown) appendHistograms(b []byte, open bool) []byte {
	bucket, sum, count := f.sample+"_bucket", f.sample+"_sum", f.sample+"_count"
	bounds := make([]string, len(f.Bounds)+1)
	for i := range bounds {
		le := "+Inf"
		if i < len(f.Bounds) {
			le = string(appendFloat(nil, f.Bounds[i]))
			if open && !strings.ContainsAny(le, ".e") {
				le += ".0"
			}
		}
		bounds[i] = `le="` + le + `"} `
	}
	for i := range f.Series {
		s, text := &f.Series[i], f.labels[i].text
		var total uint64
		for j, n := range s.Buckets {
			total += n
			b = append(append(b, bucket...), '{')
			if text != "" {
				b = append(append(b, text...), ',')
			}
			b = append(b, bounds[j]...)
			b = strconv.AppendUint(b, total, 10)
			if open && j < len(s.Exemplars) {
				b = appendExemplar(b, &s.Exemplars[j])
			}
			b = append(b, '\n')
		}
		b = append(appendFloat(appendName(b, sum, text), s.Sum), '\n')
		b = append(strconv.AppendUint(appendName(b, count, text), total, 10), '\n')
	}
	return b
}

func (f *shown) appendSummaries(b []byte) []byte {
	for i := range f.Series {
		s, text := &f.Series[i], f.labels[i].text
		for _, q := range s.Quantiles {
			share := string(appendLabels([]byte(text), []string{"quantile"}, []string{strconv.FormatFloat(q.Share, 'g', -1, 64)}))
			b = append(appendFloat(appendName(b, f.sample, share), q.Value), '\n')
		}
		b = append(appendFloat(appendName(b, f.sample+"_sum", text), s.Sum), '\n')
		b = append(strconv.AppendUint(appendName(b, f.sample+"_count", text), s.Count, 10), '\n')
	}
	return b
}

// appendName appends a sample's name, its labels, and the space before the value.
func appendName(b []byte, name, labels string) []byte {
	b = append(b, name...)
	if labels != "" {
		b = append(append(append(b, '{'), labels...), '}')
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
	b = appendFloat(append(b, `"} `...), e.Value)
	return strconv.AppendFloat(append(b, ' '), float64(e.Time.UnixMilli())/1e3, 'f', 3, 64)
}

func appendFloat(b []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}
