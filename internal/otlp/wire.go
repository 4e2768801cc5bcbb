// Package otlp is what the three signals of the OpenTelemetry protocol have in
// common: protobuf's wire format, attributes, the resource, and requests over
// HTTP (https://opentelemetry.io/docs/specs/otlp/).
//
// Messages are written by hand, field by field, into one buffer: no message
// becomes an object of its own first, and nothing of protobuf is linked. The
// tests read them with OpenTelemetry's own receiver.
package otlp

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"
)

// Wire types of protobuf.
const (
	varint    = 0
	fixed64   = 1
	delimited = 2 // by its length
	fixed32   = 5
)

func tag(b []byte, field, wire int) []byte {
	return binary.AppendUvarint(b, uint64(field)<<3|uint64(wire))
}

// Varint appends an integer, a boolean or an enum.
func Varint(b []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(tag(b, field, varint), v)
}

// Zigzag is how Varint takes a sint32 or sint64.
func Zigzag(v int) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// Fixed64 appends a fixed64 or sfixed64.
func Fixed64(b []byte, field int, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(tag(b, field, fixed64), v)
}

// Fixed32 appends a fixed32.
func Fixed32(b []byte, field int, v uint32) []byte {
	return binary.LittleEndian.AppendUint32(tag(b, field, fixed32), v)
}

// Double appends a double.
func Double(b []byte, field int, v float64) []byte { return Fixed64(b, field, math.Float64bits(v)) }

// Bytes appends bytes, or a message that is encoded already.
func Bytes(b []byte, field int, v []byte) []byte {
	return append(binary.AppendUvarint(tag(b, field, delimited), uint64(len(v))), v...)
}

// String appends a string. Protobuf's strings are UTF-8; what is not becomes U+FFFD.
func String(b []byte, field int, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return append(binary.AppendUvarint(tag(b, field, delimited), uint64(len(s))), s...)
}

// Text is String, and nothing for "".
func Text(b []byte, field int, s string) []byte {
	if s == "" {
		return b
	}
	return String(b, field, s)
}

// Open begins a message whose length is not known yet. Shut, with what Open
// returned, ends it.
func Open(b []byte, field int) ([]byte, int) {
	b = append(tag(b, field, delimited), 0)
	return b, len(b)
}

// Shut writes the length of the message that begins at start. Most are short;
// a longer one moves by the bytes that its length takes.
func Shut(b []byte, start int) []byte {
	n := len(b) - start
	if n < 0x80 {
		b[start-1] = byte(n)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(length[:], uint64(n))
	b = append(b, length[1:k]...) // room
	copy(b[start-1+k:], b[start:start+n])
	copy(b[start-1:], length[:k])
	return b
}

// A Field is one field of an encoded message.
type Field struct {
	Number int
	Int    uint64 // of a varint or a fixed one
	Bytes  []byte // of the others
}

// Next returns the first field of b and what is behind it. ok is false at the
// end, and where b is no message.
func Next(b []byte) (f Field, rest []byte, ok bool) {
	key, n := binary.Uvarint(b)
	if n <= 0 || key>>3 == 0 || key>>3 > 1<<29-1 {
		return Field{}, nil, false
	}
	b = b[n:]
	f.Number = int(key >> 3)
	switch key & 7 {
	case varint:
		f.Int, n = binary.Uvarint(b)
		if n <= 0 {
			return Field{}, nil, false
		}
		return f, b[n:], true
	case fixed64:
		if len(b) < 8 {
			return Field{}, nil, false
		}
		f.Int = binary.LittleEndian.Uint64(b)
		return f, b[8:], true
	case fixed32:
		if len(b) < 4 {
			return Field{}, nil, false
		}
		f.Int = uint64(binary.LittleEndian.Uint32(b))
		return f, b[4:], true
	case delimited:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return Field{}, nil, false
		}
		f.Bytes = b[n : n+int(size)]
		return f, b[n+int(size):], true
	}
	return Field{}, nil, false
}
