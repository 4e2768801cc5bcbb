package event

import (
	"bytes"
	"sort"
	"strconv"
	"time"

	"github.com/micro/go-platform/event/internal/codec"
)

// memoryLog is the records of a memory stream, encoded, so that the collector of
// garbage has nothing to look at, and a record costs no allocation of its own.
// The memory's mutex guards it.
type memoryLog struct {
	segments []*segment
	base     uint64 // everything up to here was removed
	end      uint64 // position of the newest record
	bytes    int64
	latest   int64 // when the newest was published
}

// segment is a run of records, one behind the other. The slices never move, and
// what they hold of the records that there are never changes: who has learned
// of a record under the mutex may read it without.
type segment struct {
	first uint64 // position of the first
	n     int    // records that there are; guarded by the mutex
	marks []mark
	text  []byte
}

// mark says where a record is in the text.
type mark struct {
	at   int64  // when it was published, in nanoseconds
	data uint32 // where its Data begin
	end  uint32
}

// Limits of a segment. The first of a stream is small, the next ones larger.
const (
	minSegment = 16
	maxSegment = 512
	perRecord  = 256 // bytes of text for each
)

// room returns the segment that has place for one more record of so many bytes,
// and where in its text.
func (l *memoryLog) room(size int) (s *segment, used int) {
	n := minSegment
	if have := len(l.segments); have > 0 {
		s = l.segments[have-1]
		used = int(s.start(s.n))
		if s.n < len(s.marks) && size <= len(s.text)-used {
			return s, used
		}
		n = min(2*len(s.marks), maxSegment)
	}
	s = &segment{first: l.end + 1, marks: make([]mark, n), text: make([]byte, max(n*perRecord, size))}
	l.segments = append(l.segments, s)
	return s, 0
}

// grew takes in what was written into a segment's text. Times never go back.
func (l *memoryLog) grew(s *segment, at int64, data, end int) {
	l.latest = max(at, l.latest)
	l.bytes += recordSize(end - int(s.start(s.n)))
	s.marks[s.n] = mark{at: l.latest, data: uint32(data), end: uint32(end)}
	s.n++
	l.end++
}

// add appends an encoded record whose Data begin at b[data].
func (l *memoryLog) add(at int64, b []byte, data int) {
	s, used := l.room(len(b))
	copy(s.text[used:], b)
	l.grew(s, at, used+data, used+len(b))
}

// encode appends a record.
func (l *memoryLog) encode(at int64, r *Record) {
	s, used := l.room(codec.MaxHead(r.encodable()) + len(r.Data))
	data := used + len(codec.AppendHead(s.text[used:used], r.encodable()))
	l.grew(s, at, data, data+copy(s.text[data:], r.Data))
}

// recordSize is what a record counts against limits in bytes.
func recordSize(encoded int) int64 { return 64 + int64(encoded) }

func (l *memoryLog) count() int64 { return int64(l.end - l.base) }

// find returns where a record is that is in the log.
func (l *memoryLog) find(position uint64) (*segment, int) {
	i := len(l.segments) - 1
	if l.segments[i].first > position { // not in the last one, as usual
		i = sort.Search(i, func(i int) bool { return l.segments[i].first > position }) - 1
	}
	s := l.segments[i]
	return s, int(position - s.first)
}

// since returns the position before the first record from t on.
func (l *memoryLog) since(t time.Time) uint64 {
	return l.base + uint64(sort.Search(int(l.count()), func(i int) bool {
		s, i := l.find(l.base + 1 + uint64(i))
		return s.marks[i].at >= t.UnixNano()
	}))
}

// trim removes what is outside of the limits, up to a position.
func (l *memoryLog) trim(keep Retention, now time.Time, limit uint64) (removed int64) {
	oldest := now.Add(-keep.Age).UnixNano()
	var s *segment
	for i := 0; l.base < limit; i++ {
		if s == nil || i == s.n {
			s, i = l.find(l.base + 1)
		}
		old := keep.Age > 0 && s.marks[i].at < oldest
		if !old && (keep.Count == 0 || l.count() <= keep.Count) && (keep.Bytes == 0 || l.bytes <= keep.Bytes) {
			break
		}
		l.bytes -= recordSize(len(s.encoded(i)))
		l.base++
		removed++
	}
	gone := 0
	for gone < len(l.segments)-1 && l.segments[gone+1].first <= l.base+1 {
		gone++
	}
	if gone > 0 {
		l.segments = append(l.segments[:0:0], l.segments[gone:]...)
	}
	return removed
}

func (s *segment) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return s.marks[i-1].end
}

// encoded is the ith record as package codec made it.
func (s *segment) encoded(i int) []byte { return s.text[s.start(i):s.marks[i].end] }

// typ is the ith record's type; it shares the text.
func (s *segment) typ(i int) []byte { return s.field(i, 1) }

// field is the kth of the texts that codec.AppendHead wrote of the ith record; it
// shares the segment's text.
func (s *segment) field(i, k int) []byte {
	p := s.start(i) + 1
	for {
		size, n := uvarint(s.text[p:])
		p += n
		if k == 0 {
			return s.text[p : p+size]
		}
		p += size
		k--
	}
}

// uvarint reads a length that package codec wrote.
func uvarint(b []byte) (v, n uint32) {
	for shift := 0; ; shift += 7 {
		c := b[n]
		n++
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v, n
		}
	}
}

// record returns a copy of the ith record.
func (s *segment) record(i int) *Record {
	return &unpack([]Delivered{{segment: s, index: i}})[0].record
}

// maxShared is how many bytes of Data may share an allocation with those of
// other records, which live as long as any of them.
const maxShared = 512

// unpack decodes records for a handler. They share nothing with the log, and
// some allocations with each other.
func unpack(ds []Delivered) []handout {
	var space [2048]byte
	text, data := space[:0], 0
	var heads [unpacked]struct{ text, all int }
	for i := range ds {
		s, m := ds[i].segment, ds[i].segment.marks[ds[i].index]
		before := len(text)
		text = append(text, s.text[s.start(ds[i].index):m.data]...)
		heads[i].text = len(text) - before
		text = strconv.AppendUint(text, ds[i].position(), 10)
		heads[i].all = len(text) - before
		if n := int(m.end - m.data); n <= maxShared {
			data += n
		}
	}
	out, texts, shared := make([]handout, len(ds)), string(text), make([]byte, 0, data)
	for i := range ds {
		r, h := &out[i].record, heads[i]
		codec.ParseHead(texts[:h.text], r.encodable())
		r.Position, texts = texts[h.text:h.all], texts[h.all:]
		m := ds[i].segment.marks[ds[i].index]
		switch d := ds[i].segment.text[m.data:m.end]; {
		case len(d) > maxShared:
			r.Data = bytes.Clone(d)
		case len(d) > 0:
			shared = append(shared, d...)
			r.Data = shared[len(shared)-len(d) : len(shared) : len(shared)]
		}
	}
	return out
}

// draft is records on their way into the log.
type draft struct {
	buf   []byte
	marks []mark
}

func (d *draft) add(r *Record) {
	d.buf = codec.AppendHead(d.buf, r.encodable())
	data := len(d.buf)
	d.buf = append(d.buf, r.Data...)
	d.marks = append(d.marks, mark{data: uint32(data), end: uint32(len(d.buf))})
}

// all calls f with each record and where its Data begin in it.
func (d *draft) all(f func(b []byte, data int)) {
	start := uint32(0)
	for _, m := range d.marks {
		f(d.buf[start:m.end], int(m.data-start))
		start = m.end
	}
}

func (d *draft) reset() *draft {
	if cap(d.buf) > 1<<20 {
		d.buf = nil
	}
	d.buf, d.marks = d.buf[:0], d.marks[:0]
	return d
}
