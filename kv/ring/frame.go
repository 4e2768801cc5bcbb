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
	headSize = 9
	maxFrame = 4 << 20
	maxValue = 1 << 20
	pageSize = 512 << 10 // how long an answer with many records gets, about
)

// Operations.
const (
	opPing  byte = iota + 1
	opGet        // key → record, from an owner
	opWrite      // write → version and sum, decided by the primary
	opAsk        // epoch and key → record, whatever the node knows: a leaf
	opApply      // claim, base and record → nothing, on a replica: a leaf
	opSync       // epoch, cursor and digests → entries: a leaf
	opFetch      // keys → records: a leaf
	opMany       // keys → a status and perhaps a record each, from an owner
	opAgree      // epoch → nothing, if the node goes by the same members: a leaf
	opReach      // instance → nothing, if the node reaches it: a leaf
	opGap        // milliseconds → what the node was for so long, see gap.go: a leaf
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

// frames takes what comes in apart without copying it.
type frames struct {
	r    *bufio.Reader
	done int // bytes at the front of r that are the last frame
}

// next waits for the next frame. Its body is good until the following call.
func (f *frames) next() (id uint32, op byte, body []byte, err error) {
	_, _ = f.r.Discard(f.done) // they are in the buffer
	f.done = 0
	head, err := f.r.Peek(headSize)
	if err != nil {
		return 0, 0, nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 5 || n > maxFrame {
		return 0, 0, nil, fmt.Errorf("%w of %d bytes", errFrame, n)
	}
	id, op = binary.BigEndian.Uint32(head[4:]), head[8]
	if size := int(n) + 4; size <= f.r.Size() {
		body, err = f.r.Peek(size)
		if err != nil {
			return 0, 0, nil, err
		}
		f.done = size
		return id, op, body[headSize:size:size], nil
	}
	_, _ = f.r.Discard(headSize)
	body = make([]byte, n-5)
	_, err = io.ReadFull(f.r, body)
	return id, op, body, err
}

// ready reports that next will not have to wait.
func (f *frames) ready() bool {
	if f.r.Buffered() < f.done+headSize {
		return false
	}
	b, _ := f.r.Peek(f.done + headSize)
	return uint64(f.r.Buffered()) >= uint64(f.done)+4+uint64(binary.BigEndian.Uint32(b[f.done:]))
}

// beginFrame appends a frame's head, and endFrame, behind its body, its length.
func beginFrame(b []byte, id uint32, op byte) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, id)
	return append(b, op)
}

func endFrame(b []byte, begin int) []byte {
	binary.BigEndian.PutUint32(b[begin:], uint32(len(b)-begin-4))
	return b
}

func appendFrame(b []byte, id uint32, op byte, body []byte) []byte {
	begin := len(b)
	return endFrame(append(beginFrame(b, id, op), body...), begin)
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
	b = putU64(b, uint64(r.shadow))
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

// record returns a record whose value is still the body's.
func (r *reader) record() record {
	rec := record{version: r.u64(), expires: int64(r.u64()), shadow: int64(r.u64()), dead: r.bool(), value: r.bytes()}
	if r.bad {
		return record{}
	}
	return rec
}

func (r *reader) more() bool { return !r.bad && len(r.b) > 0 }

// partition returns a number that is one.
func (r *reader) partition() uint16 {
	p := r.u16()
	if p >= partitions {
		r.bad, r.b = true, nil
		return 0
	}
	return p
}
