package event

import "hash/maphash"

// memoryIndex finds the records whose ID, or whose RootID, has a value. It is
// made by the first look-up and brought up to date by each, so that publishing
// pays nothing. The memory's mutex guards it.
//
//	heads   hash of a value → the newest position with it
//	before  position        → the one before it with the same hash, or 0
type memoryIndex struct {
	field  int // of a record: 0 is its ID, 3 its RootID
	seed   maphash.Seed
	base   uint64 // before[0] is of the position after it
	heads  map[uint64]uint64
	before []uint64
}

// update takes in what was appended, and begins again when most of what it has was
// trimmed.
func (x *memoryIndex) update(l *memoryLog) {
	if x.heads == nil || l.base-x.base > uint64(l.count()) {
		*x = memoryIndex{field: x.field, seed: maphash.MakeSeed(), base: l.base, heads: map[uint64]uint64{}}
	}
	for n := x.base + uint64(len(x.before)) + 1; n <= l.end; n++ {
		s, i := l.find(n)
		h := maphash.Bytes(x.seed, s.field(i, x.field))
		x.before = append(x.before, x.heads[h])
		x.heads[h] = n
	}
}

// find returns the positions between two, both excluded, that may have a value,
// the newest first.
func (x *memoryIndex) find(l *memoryLog, value string, after, until uint64) []uint64 {
	x.update(l)
	var list []uint64
	for n := x.heads[maphash.String(x.seed, value)]; n > max(after, l.base); n = x.before[n-x.base-1] {
		if n < until {
			list = append(list, n)
		}
	}
	return list
}

// lookUp reads by an index, if the filter has a value for one. m.mu is held.
func (m *memory) lookUp(q ReadRequest, after, until uint64) (page Page, ok bool) {
	var list []uint64
	switch f := q.Filter; {
	case q.Max == 0:
		return page, false
	case f.ID != "":
		list = m.ids.find(&m.log, f.ID, after, until)
	case f.RootID != "":
		list = m.roots.find(&m.log, f.RootID, after, until)
	default:
		return page, false
	}
	for i := range list {
		n := list[i]
		if !q.Reverse {
			n = list[len(list)-1-i]
		}
		if r := m.match(n, &q.Filter); r != nil {
			page.Records = append(page.Records, r)
		}
		if len(page.Records) == q.Max {
			page.Next, page.More = formatPosition(n), i < len(list)-1
			return page, true
		}
	}
	page.Next = formatPosition(m.log.end)
	if q.Reverse {
		page.Next = formatPosition(m.log.base + 1)
	}
	return page, true
}
