package ring

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame is a length (4 bytes, of what follows), the request's number (4), an
// operation or a status (1), and a body. Numbers are big-endian.
const (
	maxFrame = 4 << 20
	maxValue = 1 << 20
	pageSize = 512 << 10 // how long an answer with many records gets, about
)

// Operations.
const (
	opPing  byte = iota + 1
	opGet        // key → record, from an owner
	opWrite      // write → version and sum, decided by the primary
	opAsk        // key → record, whatever the node knows: a leaf
	opApply      // claim, base and record → nothing, on a replica: a leaf
	opSync       // epoch, cursor and digests → entries: a leaf
	opFetch      // keys → records: a leaf
)

// Statuses.
const (
	stOK byte = iota
	stMoved
	stAhead // the replica knows more than the primary
	stNotFound
	stExists
	stConflict
	stInvalid
	stUnavailable
	stUnknown
)

var errFrame = errors.New("malformed frame")

// readFrame returns the next frame; its body is the caller's.
func readFrame(r *bufio.Reader) (id uint32, op byte, body []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 5 || n > maxFrame {
		return 0, 0, nil, fmt.Errorf("%w of %d bytes", errFrame, n)
	}
	body = make([]byte, n-5)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, 0, nil, err
	}
	return binary.BigEndian.Uint32(head[4:]), head[8], body, nil
}

func appendFrame(b []byte, id uint32, op byte, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+5))
	b = binary.BigEndian.AppendUint32(b, id)
	b = append(b, op)
	return append(b, body...)
}

func putU16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }
func putU32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func putU64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func putBytes[T string | []byte](b []byte, v T) []byte {
	return append(putU32(b, uint32(len(v))), v...)
}

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func putRecord(b []byte, r record) []byte {
	b = putU64(b, r.version)
	b = putU64(b, uint64(r.expires))
	b = putBool(b, r.dead)
	return putBytes(b, r.value)
}

// reader takes a body apart. After anything that does not fit, bad is set and
// all that it gives is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) bool() bool { return r.u8() != 0 }

func (r *reader) u16() uint16 {
	if v := r.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if v := r.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (r *reader) bytes() []byte { return r.take(int(r.u32())) }
func (r *reader) text() string  { return string(r.bytes()) }

func (r *reader) record() record {
	rec := record{version: r.u64(), expires: int64(r.u64()), dead: r.bool(), value: r.bytes()}
	if r.bad {
		return record{}
	}
	return rec
}

func (r *reader) more() bool { return !r.bad && len(r.b) > 0 }

// partition returns a number that is one.
func (r *reader) partition() uint16 {
	p := r.u16()
	if p >= Partitions {
		r.bad, r.b = true, nil
		return 0
	}
	return p
}
