package otlp

import (
	"cmp"
	"encoding/binary"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/metrics"
)

// The temporalities in the protocol's numbers.
const (
	delta      = 1
	cumulative = 2
)

// point is the state of a series that the server has.
type point struct {
	time    time.Time
	value   float64
	count   uint64
	sum     float64
	buckets []uint64
	native  *metrics.Native
}

// page is the metrics of one request.
type page struct {
	*driver
	room   int
	time   time.Time
	items  []byte
	points int
	since  time.Time        // what happened before, the server has
	state  map[uint64]point // what the server has once it took the page
}

func (p *page) reset() {
	p.items, p.points = p.items[:0], 0
	p.state = map[uint64]point{}
}

// add appends a metric with the first of the series, as many as there is room
// for, and returns how many.
func (p *page) add(f *metrics.Family, all []metrics.Series) int {
	before := len(p.items)
	b, start := otlp.Open(p.items, 2)
	b = otlp.Text(b, 1, f.Name)
	b = otlp.Text(b, 2, f.Help)
	b = otlp.Text(b, 3, unit(f.Unit))
	var at int
	switch f.Kind {
	case metrics.KindCounter:
		b, at = otlp.Open(b, 7)
		b = otlp.Varint(b, 3, 1) // monotonic
	case metrics.KindUpDownCounter: // totals, with WithDelta too, as the specification says
		b, at = otlp.Open(b, 7)
		b = otlp.Varint(b, 2, cumulative)
	case metrics.KindHistogram:
		field := 9
		if all[0].Native != nil {
			field = 10
		}
		b, at = otlp.Open(b, field)
	case metrics.KindSummary:
		b, at = otlp.Open(b, 11)
	default:
		b, at = otlp.Open(b, 5)
	}
	if f.Kind == metrics.KindCounter || f.Kind == metrics.KindHistogram {
		b = otlp.Varint(b, 2, p.temporality())
	}
	n := 0
	for i := range all {
		end := len(b)
		b = p.appendPoint(b, f, &all[i])
		if len(b)+16 > p.room { // the lengths that Shut may still write
			b = b[:end]
			break
		}
		n++
	}
	if n == 0 {
		p.items = b[:before]
		return 0
	}
	for i := range all[:n] {
		if p.Delta && (f.Kind == metrics.KindCounter || f.Kind == metrics.KindHistogram) {
			s := &all[i]
			p.state[s.ID] = point{p.time, s.Value, s.Count, s.Sum, s.Buckets, s.Native}
		}
	}
	p.items = otlp.Shut(otlp.Shut(b, at), start)
	p.points += n
	return n
}

func (p *page) temporality() uint64 {
	if p.Delta {
		return delta
	}
	return cumulative
}

func (p *page) appendPoint(b []byte, f *metrics.Family, s *metrics.Series) []byte {
	base := point{time: s.Created}
	last, ok := p.began[s.ID] // only of what is sent as differences
	if ok && last.count <= s.Count {
		base = last
	}
	b, start := otlp.Open(b, 1)
	if f.Kind != metrics.KindGauge {
		b = otlp.Fixed64(b, 2, uint64(base.time.UnixNano()))
	}
	b = otlp.Fixed64(b, 3, uint64(p.time.UnixNano()))
	attributes := 7
	switch f.Kind {
	case metrics.KindCounter:
		if s.Value == float64(s.Count) {
			b = otlp.Fixed64(b, 6, s.Count-base.count)
		} else { // of the runtime, such as seconds of the processor
			b = otlp.Double(b, 4, s.Value-base.value)
		}
	case metrics.KindUpDownCounter:
		b = otlp.Fixed64(b, 6, uint64(int64(s.Value)))
	case metrics.KindHistogram:
		b = otlp.Fixed64(b, 4, s.Count-base.count)
		b = otlp.Double(b, 5, s.Sum-base.sum)
		exemplars := 8
		if s.Native != nil {
			attributes, exemplars = 1, 11
			b = appendNative(b, s.Native.Since(base.native))
		} else {
			attributes = 9
			b = appendBuckets(b, f.Bounds, s.Buckets, base.buckets)
		}
		for i := range s.Exemplars {
			if e := &s.Exemplars[i]; e.Time.After(p.since) {
				b = appendExemplar(b, exemplars, e)
			}
		}
	case metrics.KindSummary: // totals, with WithDelta too: it knows no temporality
		b = otlp.Double(otlp.Fixed64(b, 4, s.Count), 5, s.Sum)
		for _, q := range s.Quantiles {
			var at int
			b, at = otlp.Open(b, 6)
			b = otlp.Shut(otlp.Double(otlp.Double(b, 1, q.Share), 2, q.Value), at)
		}
	default:
		b = otlp.Double(b, 4, s.Value)
	}
	for i, key := range f.Keys {
		if s.Values[i] != "" { // the series doesn't have it
			b = otlp.Attribute(b, attributes, key, attribute(key, s.Values[i]))
		}
	}
	return otlp.Shut(b, start)
}

// appendBuckets appends what is in explicit buckets more than before.
func appendBuckets(b []byte, bounds []float64, now, before []uint64) []byte {
	b, at := otlp.Open(b, 6)
	for i, n := range now {
		if i < len(before) {
			n -= before[i]
		}
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = otlp.Shut(b, at)
	b, at = otlp.Open(b, 7)
	for _, bound := range bounds {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(bound))
	}
	return otlp.Shut(b, at)
}

// appendNative appends exponential buckets.
func appendNative(b []byte, n *metrics.Native) []byte {
	b = otlp.Varint(b, 6, otlp.Zigzag(n.Scale))
	b = otlp.Fixed64(b, 7, n.ZeroCount)
	for i, side := range []metrics.NativeBuckets{n.Positive, n.Negative} {
		if len(side.Counts) == 0 {
			continue
		}
		var start, at int
		b, start = otlp.Open(b, 8+i)
		b = otlp.Varint(b, 1, otlp.Zigzag(side.Offset))
		b, at = otlp.Open(b, 2)
		for _, c := range side.Counts {
			b = binary.AppendUvarint(b, c)
		}
		b = otlp.Shut(otlp.Shut(b, at), start)
	}
	return b
}

// appendExemplar appends an Exemplar as a field.
func appendExemplar(b []byte, field int, e *metrics.Exemplar) []byte {
	b, start := otlp.Open(b, field)
	b = otlp.Fixed64(b, 2, uint64(e.Time.UnixNano()))
	b = otlp.Double(b, 3, e.Value)
	b = otlp.Bytes(b, 4, e.SpanID[:])
	b = otlp.Bytes(b, 5, e.TraceID[:])
	return otlp.Shut(b, start)
}

// attribute is the value of a label in the type that OpenTelemetry's conventions
// give the attribute.
func attribute(key, value string) slog.Value {
	switch key {
	case "http.response.status_code", "server.port", "client.port", "network.peer.port":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return slog.Int64Value(n)
		}
	}
	return slog.StringValue(value)
}

// units are UCUM's codes, which OpenTelemetry asks for, of the words that
// Prometheus' names have.
var units = map[string]string{
	"seconds": "s", "milliseconds": "ms", "bytes": "By", "ratio": "1", "percent": "%", "meters": "m", "celsius": "Cel", "volts": "V",
	"amperes": "A", "joules": "J", "grams": "g",
}

func unit(word string) string { return cmp.Or(units[word], word) }
