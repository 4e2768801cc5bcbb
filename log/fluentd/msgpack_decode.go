package fluentd

import (
	"errors"
	"math"
)

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
		return decodeMap(b, uint64(c&15), depth)
	case c>>4 == 9:
		return decodeArray(b, uint64(c&15), depth)
	case c>>5 == 5:
		return decodeText(b, uint64(c&31))
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
		return decodeText(b, n)
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
		return decodeArray(b, n, depth)
	case 0xde, 0xdf:
		return decodeMap(b, n, depth)
	}
	return nil, nil, errFormat
}

func decodeText(b []byte, n uint64) (any, []byte, error) {
	if n > maxAnswer {
		return nil, nil, errFormat
	}
	if uint64(len(b)) < n {
		return nil, nil, errShort
	}
	return string(b[:n]), b[n:], nil
}

func decodeArray(b []byte, n uint64, depth int) (any, []byte, error) {
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

func decodeMap(b []byte, n uint64, depth int) (any, []byte, error) {
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
		m[key], b, err = decode(rest, depth+1)
		if err != nil {
			return nil, nil, err
		}
	}
	return m, b, nil
}
