package db

import (
	"slices"

	"github.com/micro/go-platform/internal/dbvalue"
)

// memIndex is the records of a table in the order of some of their keys. Its
// entries' keys are texts that sort as the values do, each key of the index
// after the other, and the id last.
type memIndex struct {
	sorted
	keys []Order // the last one is by FieldID, in the direction of the one before
}

func newMemIndex(keys []Order) *memIndex {
	id := Order{Key: FieldID}
	if n := len(keys); n > 0 {
		id.Desc = keys[n-1].Desc
	}
	return &memIndex{keys: append(slices.Clone(keys), id)}
}

// name is how a plan names the index.
func (x *memIndex) name() string {
	if len(x.keys) == 1 {
		return FieldID
	}
	return indexName(x.keys[:len(x.keys)-1])
}

// key is that of a record's entry.
func (x *memIndex) key(r *Record) string {
	var b []byte
	for _, o := range x.keys {
		b = appendPart(b, dbvalue.SortKey(r.Value(o.Key)), o.Desc)
	}
	return string(b)
}

// replace has the entry of a record instead of that of the record before, either
// of which may be nil.
func (x *memIndex) replace(old, r *Record) {
	if r == nil {
		x.remove(x.key(old))
		return
	}
	key := x.key(r)
	if old != nil {
		if before := x.key(old); before != key {
			x.remove(before)
		}
	}
	x.set(key, r)
}

// appendPart appends a part of an entry's key, and its end: no part begins with
// another one and its end.
func appendPart(b, sortKey []byte, desc bool) []byte {
	n := len(b)
	b = append(appendEscaped(b, sortKey), 0, 1)
	if desc {
		invert(b[n:])
	}
	return b
}

func appendEscaped(b, sortKey []byte) []byte {
	for _, c := range sortKey {
		if c == 0 {
			b = append(b, 0, 0xff)
		} else {
			b = append(b, c)
		}
	}
	return b
}

// invert turns the order of texts around, none of which another begins with.
func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// above is the least text above all that begin with prefix; empty if there is
// none.
func above(prefix []byte) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			b := slices.Clone(prefix[:i+1])
			b[i]++
			return string(b)
		}
	}
	return ""
}

// interval is the sort keys from one, below another.
type interval struct{ from, below []byte }

// intervals returns those that a filter leaves of its key's sort keys, or false
// if it says nothing of the kind.
func (f Filter) intervals() ([]interval, bool) {
	one := func(from, below []byte) ([]interval, bool) { return []interval{{from, below}}, true }
	after := func(k []byte) []byte { return append(slices.Clip(k), 0) }
	switch f.Op {
	case OpExists:
		return one([]byte{1}, []byte{0xff})
	case OpIn:
		var all []interval
		for _, v := range f.Values {
			k := dbvalue.SortKey(v)
			if !slices.ContainsFunc(all, func(i interval) bool { return string(i.from) == string(k) }) {
				all = append(all, interval{k, after(k)})
			}
		}
		return all, true
	case OpEqual, OpLess, OpLessOrEqual, OpGreater, OpGreaterOrEqual, OpPrefix:
	default:
		return nil, false
	}
	k := dbvalue.SortKey(f.Value)
	typ, next := k[:1:1], []byte{k[0] + 1} // values of other types don't compare
	switch f.Op {
	case OpEqual:
		return one(k, after(k))
	case OpLess:
		return one(typ, k)
	case OpLessOrEqual:
		return one(typ, after(k))
	case OpGreater:
		return one(after(k), next)
	case OpGreaterOrEqual:
		return one(k, next)
	}
	return one(k, []byte(above(k)))
}

// span is the entries that begin with prefix and whose next part is in the
// interval.
func (i interval) span(prefix []byte, desc bool) span {
	prefix = slices.Clip(prefix)
	if !desc {
		return span{string(appendEscaped(prefix, i.from)), string(appendEscaped(prefix, i.below))}
	}
	n := len(prefix)
	from, below := appendEscaped(prefix, i.below), appendEscaped(prefix, i.from)
	invert(from[n:])
	invert(below[n:])
	return span{above(from), above(below)}
}

// both is what two spans have in common.
func (s span) both(o span) span {
	s.from = max(s.from, o.from)
	if s.below == "" || o.below != "" && o.below < s.below {
		s.below = o.below
	}
	return s
}

// postings are the records by what is in them: a record has an entry for each part.
type postings struct {
	memIndex
	parts func(r *Record, f func(prefix []byte)) // calls f with what the entries of a record begin with, before its id
}

func newPostings(parts func(r *Record, f func(prefix []byte))) postings {
	return postings{memIndex{keys: []Order{{Key: FieldID}}}, parts}
}

func (x *postings) replace(old, r *Record) {
	if old != nil {
		x.parts(old, func(prefix []byte) { x.remove(entryOf(prefix, old)) })
	}
	if r != nil {
		x.parts(r, func(prefix []byte) { x.set(entryOf(prefix, r), r) })
	}
}

func entryOf(prefix []byte, r *Record) string {
	return string(appendPart(prefix, dbvalue.SortKey(r.ID), false))
}

// access is the way to the records whose entries begin with prefix.
func (x *postings) access(named string, prefix []byte, q Query) access {
	a := access{reads: []read{{&x.memIndex, named, span{string(prefix), above(prefix)}}}, narrows: true, unique: true}
	if len(q.Order) == 1 { // by id
		a.sorted, a.backwards = 1, q.Order[0].Desc
	}
	return a
}

// newElements returns an index of the elements of lists, by their keys, for OpHas.
func newElements() postings {
	return newPostings(func(r *Record, f func(prefix []byte)) {
		for key, v := range r.Metadata {
			l, _ := v.([]string)
			for _, element := range l {
				f(elementPrefix(key, element))
			}
		}
	})
}

// elementPrefix is what the entries of an element begin with.
func elementPrefix(key, element string) []byte {
	return appendPart(appendPart(nil, []byte(key), false), []byte(element), false)
}
