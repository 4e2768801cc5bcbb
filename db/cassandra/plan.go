package cassandra

import (
	"bytes"
	"slices"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/fault"
)

// plan is how a search goes about it.
type plan struct {
	ids    []string // the records to look at, instead of the ranges
	ranges []span   // of the index, each in the order of value and id
	byID   bool     // ranges have one value each, so that they can be merged by id
	sorted bool     // all that is found has to be sorted by id, before rows are read
	order  bool     // all rows that are found have to be sorted
}

// span is a range of a key's entries: from (v, id) up to below (endV, endID).
type span struct {
	key         string
	v, id       []byte
	endV, endID []byte
}

// last is above all values and ids, none of which begins with it.
var last = []byte{0xff}

func all(key string) span { return span{key, []byte{}, []byte{}, last, []byte{}} }

func one(key string, v []byte) span { return span{key, v, []byte{}, v, last} }

func ownField(key string) bool {
	return key == db.FieldID || key == db.FieldVersion || key == db.FieldCreated || key == db.FieldUpdated
}

// newPlan says how to find the records of a filter in an order, whatever the
// tables hold: a search that is refused is refused from the beginning.
func newPlan(f db.Filter, order []db.Order) (plan, error) {
	must := f.Conjuncts()
	byID := len(order) == 1
	pick := func(on func(key string) bool, ops ...db.Operator) (db.Filter, bool) {
		i := slices.IndexFunc(must, func(f db.Filter) bool { return on(f.Key) && slices.Contains(ops, f.Op) })
		if i < 0 {
			return db.Filter{}, false
		}
		return must[i], true
	}
	own := func(key string) bool { return key == db.FieldID }
	metadata := func(key string) bool { return key != "" && !ownField(key) }
	if f, ok := pick(own, db.OpEqual, db.OpIn); ok {
		p := plan{ids: []string{}, order: !byID}
		for _, v := range values(f) {
			p.ids = append(p.ids, v.(string))
		}
		return p, nil
	}
	f, ok := pick(metadata, db.OpEqual)
	if !ok {
		f, ok = pick(metadata, db.OpIn)
	}
	if ok {
		p := plan{byID: true, order: !byID}
		for _, v := range values(f) {
			if s := one(f.Key, dbdriver.SortKey(v)); !slices.ContainsFunc(p.ranges, func(o span) bool { return bytes.Equal(o.v, s.v) }) {
				p.ranges = append(p.ranges, s)
			}
		}
		return p, nil
	}
	if !byID {
		first := order[0]
		_, ok := pick(func(key string) bool { return key == first.Key && metadata(key) }, compared...)
		if ok && len(order) == 2 && order[1].Desc == first.Desc {
			return plan{ranges: []span{narrowed(first.Key, must)}}, nil
		}
		return plan{}, fault.Markf(fault.Unsupported, "this order, without an Equal or In: want one, or a filter that compares %q, alone in the order", first.Key)
	}
	if f, ok := pick(metadata, compared...); ok {
		return plan{ranges: []span{narrowed(f.Key, must)}, sorted: true}, nil
	}
	if _, ok := pick(own, compared...); ok || len(must) == 0 {
		s := one(ids, []byte{})
		for _, f := range must {
			if f.Key == ids {
				from, to := reach(f, []byte(f.Value.(string)))
				s.id, s.endID = greater(s.id, from), less(s.endID, to)
			}
		}
		return plan{ranges: []span{s}, byID: true}, nil
	}
	return plan{}, fault.Markf(fault.Unsupported, "a search by %s alone", must[0].Key)
}

// compared are the operators that an index has a range for.
var compared = []db.Operator{db.OpLess, db.OpLessOrEqual, db.OpGreater, db.OpGreaterOrEqual, db.OpPrefix, db.OpExists}

func values(f db.Filter) []any {
	if f.Op == db.OpIn {
		return f.Values
	}
	return []any{f.Value}
}

// narrowed is what all filters on a key leave of its entries.
func narrowed(key string, must []db.Filter) span {
	s := all(key)
	for _, f := range must {
		if f.Key != key || f.Op == db.OpExists || !slices.Contains(compared, f.Op) {
			continue
		}
		k := dbdriver.SortKey(f.Value)
		from, to := reach(f, k)
		if f.Op != db.OpPrefix { // values of other types don't compare
			from, to = greater(from, k[:1]), less(to, []byte{k[0] + 1})
		}
		s.v, s.endV = greater(s.v, from), less(s.endV, to)
	}
	return s
}

// reach is the range of an operator, from its beginning to before its end.
func reach(f db.Filter, k []byte) (from, to []byte) {
	after := append(slices.Clone(k), 0) // nothing is between k and it
	switch f.Op {
	case db.OpLess:
		return []byte{}, k
	case db.OpLessOrEqual:
		return []byte{}, after
	case db.OpGreater:
		return after, last
	case db.OpGreaterOrEqual:
		return k, last
	case db.OpPrefix:
		if len(k) == 0 {
			return []byte{}, last
		}
		end := slices.Clone(k)
		end[len(end)-1]++ // UTF-8 has no byte 0xff
		return k, end
	}
	return []byte{}, last
}

func greater(a, b []byte) []byte {
	if bytes.Compare(a, b) > 0 {
		return a
	}
	return b
}

func less(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return a
	}
	return b
}
