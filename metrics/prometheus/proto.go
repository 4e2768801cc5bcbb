package prometheus

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"time"

	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/metrics"
)

// ProtobufType is the content type of the third format.
const ProtobufType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// AppendProtobuf appends a snapshot as messages io.prometheus.client.MetricFamily,
// each behind its length: the one format that has native histograms
// (https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto).
func AppendProtobuf(b []byte, s *metrics.Snapshot) []byte {
	var message []byte
	for f := range families(s, nil) {
		message = appendFamilyProto(message[:0], f)
		b = append(binary.AppendUvarint(b, uint64(len(message))), message...)
	}
	return b
}

// The types of families in the protocol's numbers.
var protoTypes = map[metrics.Kind]uint64{metrics.KindCounter: 0, metrics.KindGauge: 1, metrics.KindUpDownCounter: 1, metrics.KindSummary: 2, metrics.KindHistogram: 4}

func appendFamilyProto(b []byte, f *shown) []byte {
	b = otlp.String(b, 1, f.sample)
	b = otlp.Text(b, 2, f.Help)
	b = otlp.Varint(b, 3, protoTypes[f.Kind])
	for i := range f.Series {
		one := &f.Series[i]
		var start, at int
		b, start = otlp.Open(b, 4)
		for j, k := range f.keys {
			if v := one.Values[j]; v != "" {
				b = appendLabelProto(b, k, v)
			}
		}
		switch f.Kind {
		case metrics.KindCounter:
			b, at = otlp.Open(b, 3)
			b = otlp.Double(b, 1, one.Value)
			b = appendTime(b, 3, one.Created)
		case metrics.KindGauge, metrics.KindUpDownCounter:
			b, at = otlp.Open(b, 2)
			b = otlp.Double(b, 1, one.Value)
		case metrics.KindSummary:
			b, at = otlp.Open(b, 4)
			b = otlp.Double(otlp.Varint(b, 1, one.Count), 2, one.Sum)
			for _, q := range one.Quantiles {
				var from int
				b, from = otlp.Open(b, 3)
				b = otlp.Shut(otlp.Double(otlp.Double(b, 1, q.Share), 2, q.Value), from)
			}
		default:
			b, at = otlp.Open(b, 7)
			b = appendHistogramProto(b, f.Bounds, one)
		}
		b = otlp.Shut(otlp.Shut(b, at), start)
	}
	return otlp.Text(b, 5, f.unit)
}

func appendLabelProto(b []byte, name, value string) []byte {
	b, start := otlp.Open(b, 1)
	return otlp.Shut(otlp.String(otlp.String(b, 1, name), 2, value), start)
}

func appendTime(b []byte, field int, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b, start := otlp.Open(b, field)
	return otlp.Shut(otlp.Varint(otlp.Varint(b, 1, uint64(t.Unix())), 2, uint64(t.Nanosecond())), start)
}

func appendHistogramProto(b []byte, bounds []float64, s *metrics.Series) []byte {
	b = otlp.Varint(b, 1, s.Count)
	b = otlp.Double(b, 2, s.Sum)
	var total uint64
	for i, n := range s.Buckets {
		total += n
		bound := math.Inf(1)
		if i < len(bounds) {
			bound = bounds[i]
		}
		var start int
		b, start = otlp.Open(b, 3)
		b = otlp.Double(otlp.Varint(b, 1, total), 2, bound)
		if i < len(s.Exemplars) && !s.Exemplars[i].Time.IsZero() {
			b = appendExemplarProto(b, 3, &s.Exemplars[i])
		}
		b = otlp.Shut(b, start)
	}
	if n := s.Native; n != nil {
		b = otlp.Varint(b, 5, otlp.Zigzag(n.Scale))
		b = otlp.Double(b, 6, 0) // only 0 itself is in the bucket of 0
		b = otlp.Varint(b, 7, n.ZeroCount)
		b = appendSide(b, 9, n.Negative)
		b = appendSide(b, 12, n.Positive)
		if n.ZeroCount == 0 && len(n.Positive.Counts)+len(n.Negative.Counts) == 0 {
			b = appendSpan(b, 12, 0, 0) // else an empty one would pass for one without native buckets
		}
	}
	return appendTime(b, 15, s.Created)
}

func appendExemplarProto(b []byte, field int, e *metrics.Exemplar) []byte {
	b, start := otlp.Open(b, field)
	b = appendLabelProto(b, "trace_id", hex.EncodeToString(e.TraceID[:]))
	b = appendLabelProto(b, "span_id", hex.EncodeToString(e.SpanID[:]))
	return otlp.Shut(appendTime(otlp.Double(b, 2, e.Value), 3, e.Time), start)
}

// maxGap is how many empty buckets stand in a span, where a span of its own
// would take more room.
const maxGap = 2

// appendSide appends the spans of buckets as a field and, as the next one, the
// differences between the counts of neighbours. Prometheus numbers a bucket by
// its upper end, one more than OpenTelemetry.
func appendSide(b []byte, field int, side metrics.NativeBuckets) []byte {
	var deltas []byte
	last, end := int64(0), 0 // of the bucket before; where the span before ended
	for i := 0; i < len(side.Counts); {
		if side.Counts[i] == 0 {
			i++
			continue
		}
		length, empty := 0, 0 // of the span that begins at i
		for j := i; j < len(side.Counts) && empty <= maxGap; j++ {
			empty++
			if side.Counts[j] > 0 {
				length, empty = j+1-i, 0
			}
		}
		from := side.Offset + 1 + i
		b = appendSpan(b, field, from-end, length)
		for _, n := range side.Counts[i : i+length] {
			deltas = binary.AppendVarint(deltas, int64(n)-last)
			last = int64(n)
		}
		i, end = i+length, from+length
	}
	if len(deltas) == 0 {
		return b
	}
	return otlp.Bytes(b, field+1, deltas)
}

func appendSpan(b []byte, field, offset, length int) []byte {
	b, start := otlp.Open(b, field)
	return otlp.Shut(otlp.Varint(otlp.Varint(b, 1, otlp.Zigzag(offset)), 2, uint64(length)), start)
}
