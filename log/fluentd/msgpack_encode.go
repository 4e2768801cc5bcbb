package fluentd

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), as much
// of it as the forward protocol needs.

// appendSize appends a size of 16 bits behind code, or one of 32 behind the code
// that follows it.
func appendSize(b []byte, code byte, n int) []byte {
	if n < 1<<16 {
		return binary.BigEndian.AppendUint16(append(b, code), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, code+1), uint32(n))
}

func appendArray(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x90|byte(n))
	}
	return appendSize(b, 0xdc, n)
}

func appendMap(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x80|byte(n))
	}
	return appendSize(b, 0xde, n)
}

func appendStringHead(b []byte, n int) []byte {
	switch {
	case n < 32:
		return append(b, 0xa0|byte(n))
	case n < 1<<8:
		return append(b, 0xd9, byte(n))
	}
	return appendSize(b, 0xda, n)
}

func appendString(b []byte, s string) []byte {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return append(appendStringHead(b, len(s)), s...)
}

func appendBin(b, data []byte) []byte {
	if n := len(data); n < 1<<8 {
		b = append(b, 0xc4, byte(n))
	} else {
		b = appendSize(b, 0xc5, n)
	}
	return append(b, data...)
}

func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(b, uint64(n))
	case n >= -32:
		return append(b, byte(n))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}

func appendUint(b []byte, n uint64) []byte {
	switch {
	case n < 128:
		return append(b, byte(n))
	case n < 1<<8:
		return append(b, 0xcc, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
}

func appendFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(f))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

// appendTime appends an EventTime: extension type 0 of 8 bytes.
func appendTime(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint32(append(b, 0xd7, 0), uint32(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

func appendAttrs(b []byte, attrs []slog.Attr) []byte {
	for _, a := range attrs {
		b = appendValue(appendString(b, a.Key), a.Value)
	}
	return b
}

func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendString(b, v.String())
	case slog.KindInt64:
		return appendInt(b, v.Int64())
	case slog.KindUint64:
		return appendUint(b, v.Uint64())
	case slog.KindFloat64:
		return appendFloat(b, v.Float64())
	case slog.KindBool:
		return appendBool(b, v.Bool())
	case slog.KindDuration:
		return appendInt(b, int64(v.Duration()))
	case slog.KindTime:
		return appendString(b, v.Time().Format(time.RFC3339Nano))
	case slog.KindGroup:
		return appendAttrs(appendMap(b, len(v.Group())), v.Group())
	}
	return appendAny(b, v.Any())
}

// appendAny appends a value as JSON would have it. What a value's methods do
// wrong, panics too, ends up in the record.
func appendAny(b []byte, v any) (out []byte) {
	defer func() {
		if p := recover(); p != nil {
			out = appendString(b, fmt.Sprintf("!PANIC: %v", p))
		}
	}()
	if err, ok := v.(error); ok {
		return appendString(b, err.Error())
	}
	text, err := json.Marshal(v)
	if err != nil {
		return appendString(b, "!ERROR: "+err.Error())
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return appendString(b, "!ERROR: "+err.Error())
	}
	return appendPlain(b, plain)
}

func appendPlain(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(b, v)
	case bool:
		return appendBool(b, v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return appendInt(b, n)
		}
		f, _ := v.Float64()
		return appendFloat(b, f)
	case []any:
		b = appendArray(b, len(v))
		for _, one := range v {
			b = appendPlain(b, one)
		}
		return b
	case map[string]any:
		b = appendMap(b, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = appendPlain(appendString(b, k), v[k])
		}
		return b
	}
	return append(b, 0xc0)
}
