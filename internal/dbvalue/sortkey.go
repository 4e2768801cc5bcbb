// Package dbvalue is what package db and its backends know of the values of
// metadata: their order, their form as JSON, their words.
package dbvalue

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
)

// ErrSerialization is driver.ErrSerialization.
var ErrSerialization = errors.New("transactions don't go together")

// Conflict is the error of a write that wants another version than the one stored.
func Conflict(stored, wanted uint64) error {
	return fault.Markf(fault.Conflict, "version %d is stored, not %d", stored, wanted)
}

// SortKey returns bytes that compare as values do: a missing value (nil), which
// is empty, then lists, which are all the same, then booleans, numbers, strings
// and times. An integer and a float of the same value have the same key.
func SortKey(v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return []byte{'b', 1}
		}
		return []byte{'b', 0}
	case int64:
		// The nearest float, then how far the integer is above it: exact also
		// where floats are sparser than integers.
		f := float64(v)
		var above int64
		if f >= 1<<63 {
			above = v - math.MaxInt64 - 1
		} else {
			above = v - int64(f)
		}
		return numberKey(f, above)
	case float64:
		return numberKey(v, 0)
	case string:
		return append([]byte{'s'}, v...)
	case []string:
		return []byte{'a'}
	case time.Time:
		return binary.BigEndian.AppendUint64([]byte{'t'}, uint64(v.UnixMicro())^1<<63)
	}
	return nil
}

// Sortable returns a value as text whose bytes compare as values do: a letter for
// the type, then the string itself, or the rest of its SortKey in hexadecimal. It
// is empty for a missing value.
func Sortable(v any) string {
	if s, ok := v.(string); ok {
		return "s" + s
	}
	k := SortKey(v)
	if len(k) == 0 {
		return ""
	}
	return string(k[0]) + hex.EncodeToString(k[1:])
}

// Successor returns the least UTF-8 above all that begins with a prefix, and false
// if there is none.
func Successor(prefix string) (string, bool) {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch {
		case r == 0xd7ff: // what follows is no character of its own in UTF-8
			return prefix + "\ue000", true
		case r < utf8.MaxRune:
			return prefix + string(r+1), true
		}
	}
	return "", false
}

func numberKey(f float64, above int64) []byte {
	bits := math.Float64bits(f)
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	b := binary.BigEndian.AppendUint64([]byte{'n'}, bits)
	return binary.BigEndian.AppendUint16(b, uint16(above+1<<15))
}
