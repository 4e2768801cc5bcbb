package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
)

// The JSON of a request is made from its protobuf, so that there is one
// encoder for each signal: names in lowerCamelCase, 64-bit integers as strings,
// enums as numbers, ids in hexadecimal
// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).

type kind uint8

const (
	text    kind = iota
	id           // bytes in hexadecimal
	blob         // bytes in base64
	number       // a varint or fixed32 that is a number in JSON
	signed       // a 64-bit integer, which is a string in JSON
	boolean      // a varint
	double       // a fixed64
	counts       // fixed64, packed
	doubles      // doubles, packed
	zigzag       // a sint32
	varints      // 64-bit varints, packed
	nested       // a message
)

// field is how one field of a message looks in JSON.
type field struct {
	name string
	kind kind
	many bool
	of   func() message
}

type message map[int]field

func one(name string, of func() message) field { return field{name: name, kind: nested, of: of} }
func all(name string, of func() message) field {
	return field{name: name, kind: nested, many: true, of: of}
}

func anyValue() message {
	return message{1: {name: "stringValue"}, 2: {name: "boolValue", kind: boolean}, 3: {name: "intValue", kind: signed},
		4: {name: "doubleValue", kind: double}, 5: one("arrayValue", func() message { return message{1: all("values", anyValue)} }),
		6: one("kvlistValue", func() message { return message{1: all("values", keyValue)} }), 7: {name: "bytesValue", kind: blob}}
}

func keyValue() message { return message{1: {name: "key"}, 2: one("value", anyValue)} }

// export is a request down to the items of a scope.
func export(resources, scopes string, items field) message {
	return message{1: all(resources, func() message {
		return message{
			1: one("resource", func() message { return message{1: all("attributes", keyValue)} }),
			2: all(scopes, func() message {
				return message{1: one("scope", func() message { return message{1: {name: "name"}, 2: {name: "version"}} }), 2: items}
			}),
		}
	})}
}

func span() message {
	return message{1: {name: "traceId", kind: id}, 2: {name: "spanId", kind: id}, 3: {name: "traceState"}, 4: {name: "parentSpanId", kind: id},
		5: {name: "name"}, 6: {name: "kind", kind: number}, 7: {name: "startTimeUnixNano", kind: signed}, 8: {name: "endTimeUnixNano", kind: signed},
		9: all("attributes", keyValue), 10: {name: "droppedAttributesCount", kind: number},
		11: all("events", func() message {
			return message{1: {name: "timeUnixNano", kind: signed}, 2: {name: "name"}, 3: all("attributes", keyValue)}
		}),
		13: all("links", func() message {
			return message{1: {name: "traceId", kind: id}, 2: {name: "spanId", kind: id}, 3: {name: "traceState"}, 4: all("attributes", keyValue), 6: {name: "flags", kind: number}}
		}),
		15: one("status", func() message { return message{2: {name: "message"}, 3: {name: "code", kind: number}} }),
		16: {name: "flags", kind: number}}
}

func point() message {
	return message{2: {name: "startTimeUnixNano", kind: signed}, 3: {name: "timeUnixNano", kind: signed}, 4: {name: "asDouble", kind: double},
		6: {name: "asInt", kind: signed}, 7: all("attributes", keyValue)}
}

func histogramPoint() message {
	return message{2: {name: "startTimeUnixNano", kind: signed}, 3: {name: "timeUnixNano", kind: signed}, 4: {name: "count", kind: signed},
		5: {name: "sum", kind: double}, 6: {name: "bucketCounts", kind: counts}, 7: {name: "explicitBounds", kind: doubles}, 8: all("exemplars", exemplar), 9: all("attributes", keyValue)}
}

func exemplar() message {
	return message{2: {name: "timeUnixNano", kind: signed}, 3: {name: "asDouble", kind: double}, 4: {name: "spanId", kind: id}, 5: {name: "traceId", kind: id}}
}

func summaryPoint() message {
	return message{2: {name: "startTimeUnixNano", kind: signed}, 3: {name: "timeUnixNano", kind: signed}, 4: {name: "count", kind: signed}, 5: {name: "sum", kind: double},
		6: all("quantileValues", func() message { return message{1: {name: "quantile", kind: double}, 2: {name: "value", kind: double}} }), 7: all("attributes", keyValue)}
}

func exponentialPoint() message {
	buckets := func() message {
		return message{1: {name: "offset", kind: zigzag}, 2: {name: "bucketCounts", kind: varints}}
	}
	return message{1: all("attributes", keyValue), 2: {name: "startTimeUnixNano", kind: signed}, 3: {name: "timeUnixNano", kind: signed}, 4: {name: "count", kind: signed},
		5: {name: "sum", kind: double}, 6: {name: "scale", kind: zigzag}, 7: {name: "zeroCount", kind: signed}, 8: one("positive", buckets), 9: one("negative", buckets),
		11: all("exemplars", exemplar)}
}

func metric() message {
	return message{1: {name: "name"}, 2: {name: "description"}, 3: {name: "unit"},
		5: one("gauge", func() message { return message{1: all("dataPoints", point)} }),
		7: one("sum", func() message {
			return message{1: all("dataPoints", point), 2: {name: "aggregationTemporality", kind: number}, 3: {name: "isMonotonic", kind: boolean}}
		}),
		9: one("histogram", func() message {
			return message{1: all("dataPoints", histogramPoint), 2: {name: "aggregationTemporality", kind: number}}
		}),
		10: one("exponentialHistogram", func() message {
			return message{1: all("dataPoints", exponentialPoint), 2: {name: "aggregationTemporality", kind: number}}
		}),
		11: one("summary", func() message { return message{1: all("dataPoints", summaryPoint)} })}
}

func logRecord() message {
	return message{1: {name: "timeUnixNano", kind: signed}, 2: {name: "severityNumber", kind: number}, 3: {name: "severityText"}, 5: one("body", anyValue),
		6: all("attributes", keyValue), 8: {name: "flags", kind: number}, 9: {name: "traceId", kind: id}, 10: {name: "spanId", kind: id},
		11: {name: "observedTimeUnixNano", kind: signed}}
}

// JSON appends the JSON of a request in protobuf.
func (s Signal) JSON(dst, request []byte) []byte { return appendJSON(dst, s.form(), request) }

func appendJSON(dst []byte, m message, b []byte) []byte {
	dst = append(dst, '{')
	open := 0 // the number of the list that is being written
	first := true
	for f, rest, ok := Next(b); ok; f, rest, ok = Next(rest) {
		how, known := m[f.Number]
		if !known {
			continue
		}
		if open != 0 && open != f.Number {
			dst, open = append(dst, ']'), 0
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if open == 0 {
			dst = append(quote(dst, how.name), ':')
			if how.many {
				dst, open = append(dst, '['), f.Number
			}
		}
		dst = how.append(dst, f)
	}
	if open != 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func quote(dst []byte, s string) []byte {
	q, _ := json.Marshal(s)
	return append(dst, q...)
}

func (how field) append(dst []byte, f Field) []byte {
	switch how.kind {
	case id:
		return append(hex.AppendEncode(append(dst, '"'), f.Bytes), '"')
	case blob:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), f.Bytes), '"')
	case number:
		return strconv.AppendUint(dst, f.Int, 10)
	case signed:
		return append(strconv.AppendInt(append(dst, '"'), int64(f.Int), 10), '"')
	case boolean:
		return strconv.AppendBool(dst, f.Int != 0)
	case double:
		return appendDouble(dst, math.Float64frombits(f.Int))
	case zigzag:
		return strconv.AppendInt(dst, int64(f.Int>>1)^-int64(f.Int&1), 10)
	case varints:
		dst = append(dst, '[')
		for b := f.Bytes; len(b) > 0; {
			n, size := binary.Uvarint(b)
			if size <= 0 {
				break
			}
			if len(b) < len(f.Bytes) {
				dst = append(dst, ',')
			}
			dst = append(strconv.AppendUint(append(dst, '"'), n, 10), '"')
			b = b[size:]
		}
		return append(dst, ']')
	case counts, doubles:
		dst = append(dst, '[')
		for i := 0; i+8 <= len(f.Bytes); i += 8 {
			if i > 0 {
				dst = append(dst, ',')
			}
			n := binary.LittleEndian.Uint64(f.Bytes[i:])
			if how.kind == counts {
				dst = append(strconv.AppendUint(append(dst, '"'), n, 10), '"')
			} else {
				dst = appendDouble(dst, math.Float64frombits(n))
			}
		}
		return append(dst, ']')
	case nested:
		return appendJSON(dst, how.of(), f.Bytes)
	}
	return quote(dst, string(f.Bytes))
}

// appendDouble writes what protobuf's JSON has for numbers that JSON has not.
func appendDouble(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}
