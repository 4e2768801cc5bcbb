package fluentd

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sort"
	"strings"
	"time"
)

// MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), as much
// of it as the forward protocol needs.

func appendArray(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, 0x90|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
}

func appendMap(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, 0x80|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xde), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdf), uint32(n))
}

func appendStringHead(b []byte, n int) []byte {
	switch {
	case n < 32:
		return append(b, 0xa0|byte(n))
	case n < 1<<8:
		return append(b, 0xd9, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
}

func appendString(b []byte, s string) []byte {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return append(appendStringHead(b, len(s)), s...)
}

func appendBin(b, data []byte) []byte {
	switch n := len(data); {
	case n < 1<<8:
		b = append(b, 0xc4, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(n))
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
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			b = appendPlain(appendString(b, k), v[k])
		}
		return b
	}
	return append(b, 0xc0)
}

var (
	errShort  = errors.New("msgpack: more bytes needed")
	errFormat = errors.New("msgpack: not understood")
)

// maxDepth and maxItems bound what a server can make us decode.
const (
	maxDepth = 8
	maxItems = 256
)

// decode reads one value: nil, bool, int64, float64, string (of bin too),
// []any, or map[string]any. It returns what follows. errShort asks for more.
func decode(b []byte, depth int) (v any, rest []byte, err error) {
	if depth > maxDepth {
		return nil, nil, errFormat
	}
	if len(b) == 0 {
		return nil, nil, errShort
	}
	c := b[0]
	b = b[1:]
	switch {
	case c < 0x80:
		return int64(c), b, nil
	case c >= 0xe0:
		return int64(int8(c)), b, nil
	case c>>4 == 8:
		return decodeMap(b, int(c&15), depth)
	case c>>4 == 9:
		return decodeArray(b, int(c&15), depth)
	case c>>5 == 5:
		return decodeText(b, int(c&31))
	}
	size := [256]int{0xc4: 1, 0xc5: 2, 0xc6: 4, 0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8,
		0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4}[c]
	if len(b) < size {
		return nil, nil, errShort
	}
	var n uint64
	for _, x := range b[:size] {
		n = n<<8 | uint64(x)
	}
	b = b[size:]
	switch c {
	case 0xc0:
		return nil, b, nil
	case 0xc2, 0xc3:
		return c == 0xc3, b, nil
	case 0xc4, 0xc5, 0xc6, 0xd9, 0xda, 0xdb:
		return decodeText(b, int(n))
	case 0xca:
		return float64(math.Float32frombits(uint32(n))), b, nil
	case 0xcb:
		return math.Float64frombits(n), b, nil
	case 0xcc, 0xcd, 0xce, 0xcf:
		return int64(n), b, nil
	case 0xd0:
		return int64(int8(n)), b, nil
	case 0xd1:
		return int64(int16(n)), b, nil
	case 0xd2:
		return int64(int32(n)), b, nil
	case 0xd3:
		return int64(n), b, nil
	case 0xdc, 0xdd:
		return decodeArray(b, int(n), depth)
	case 0xde, 0xdf:
		return decodeMap(b, int(n), depth)
	}
	return nil, nil, errFormat
}

func decodeText(b []byte, n int) (any, []byte, error) {
	if n > maxAnswer {
		return nil, nil, errFormat
	}
	if len(b) < n {
		return nil, nil, errShort
	}
	return string(b[:n]), b[n:], nil
}

func decodeArray(b []byte, n, depth int) (any, []byte, error) {
	if n > maxItems {
		return nil, nil, errFormat
	}
	list := make([]any, 0, n)
	for range n {
		v, rest, err := decode(b, depth+1)
		if err != nil {
			return nil, nil, err
		}
		list, b = append(list, v), rest
	}
	return list, b, nil
}

func decodeMap(b []byte, n, depth int) (any, []byte, error) {
	if n > maxItems {
		return nil, nil, errFormat
	}
	m := make(map[string]any, n)
	for range n {
		k, rest, err := decode(b, depth+1)
		if err != nil {
			return nil, nil, err
		}
		key, ok := k.(string)
		if !ok {
			return nil, nil, errFormat
		}
		if m[key], b, err = decode(rest, depth+1); err != nil {
			return nil, nil, err
		}
	}
	return m, b, nil
}
