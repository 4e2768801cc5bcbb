package db

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/dbvalue"
)

// access is a way to the records that a search may find: the spans of indexes
// to read.
type access struct {
	reads     []read
	backwards bool
	sorted    int  // how many keys of the order it delivers
	narrows   bool // it leaves out what the filter does not match
	unique    bool // no record comes twice
}

// read is a part of an index.
type read struct {
	x     *memIndex
	named string
	span
}

// cost is how many records an access looks at, and again as many if they have
// to be sorted.
func (a access) cost(order int) int {
	n := 0
	for _, r := range a.reads {
		n += r.x.estimate(r.span)
	}
	if a.sorted < order {
		return 2 * n
	}
	return n
}

// plan picks the way to the fewest records. Where no index leads to what the
// filter matches, it is one that has the order, and else that of the ids.
func (t *memTable) plan(q Query) access {
	must := q.Filter.Conjuncts()
	best := t.byID.access(must, q)
	fewest := best.cost(len(q.Order))
	consider := func(a access) {
		n := a.cost(len(q.Order))
		better := n < fewest || n == fewest && a.sorted > best.sorted
		switch {
		case a.narrows != best.narrows:
			better = a.narrows
		case !a.narrows:
			better = a.sorted > best.sorted
		}
		if better {
			best, fewest = a, n
		}
	}
	for _, x := range t.indexes {
		consider(x.access(must, q))
	}
	for _, f := range must {
		switch f.Op {
		case OpHas:
			consider(t.lists.access("has", elementPrefix(f.Key, f.Value.(string)), q))
		case OpMatch:
			for _, x := range t.texts {
				if x.key == f.Key {
					consider(x.rarest(f, q))
				}
			}
		case OpOr:
			if a := t.union(f); a.narrows {
				consider(a)
			}
		}
	}
	return best
}

// union is a way for each part of an Or, if there is one for all of them.
func (t *memTable) union(f Filter) access {
	all := access{narrows: true}
	for _, part := range f.Filters {
		a := t.plan(Query{Filter: part})
		if !a.narrows {
			return access{}
		}
		all.reads = append(all.reads, a.reads...)
	}
	return all
}

// access is the way through one index: to what an Equal says of its first keys,
// and what else is said of the key after them.
func (x *memIndex) access(must []Filter, q Query) access {
	equal := map[string][]byte{}
	for _, f := range must {
		if f.Op == OpEqual {
			equal[f.Key] = dbvalue.SortKey(f.Value)
		}
	}
	a := access{unique: true}
	var prefix []byte
	i := 0
	for ; i < len(x.keys) && equal[x.keys[i].Key] != nil; i++ {
		prefix = appendPart(prefix, equal[x.keys[i].Key], x.keys[i].Desc)
		a.narrows = true
	}
	spans := []span{{string(prefix), above(prefix)}}
	for _, f := range must {
		if i == len(x.keys) || f.Key != x.keys[i].Key {
			continue
		}
		of, ok := f.intervals()
		if !ok {
			continue
		}
		a.narrows = true
		var left []span
		for _, interval := range of {
			for _, s := range spans {
				b := s.both(interval.span(prefix, x.keys[i].Desc))
				if b.below == "" || b.from < b.below { // else it is empty
					left = append(left, b)
				}
			}
		}
		spans = left
	}
	if len(spans) == 1 {
		a.deliver(x, equal, q, &spans[0])
	}
	for _, s := range spans {
		a.reads = append(a.reads, read{x, x.name(), s})
	}
	return a
}

// deliver finds out how many keys of an order the index has, apart from those
// that an Equal leaves but one value, and cuts off what is before the page.
func (a *access) deliver(x *memIndex, equal map[string][]byte, q Query, s *span) {
	var start []byte // of the entries that are, in those keys, where the page begins
	i, directed := 0, false
	constant := func() {
		for ; i < len(x.keys) && equal[x.keys[i].Key] != nil; i++ {
			start = appendPart(start, equal[x.keys[i].Key], x.keys[i].Desc)
		}
	}
	for n, o := range q.Order {
		if equal[o.Key] == nil {
			constant()
			if i == len(x.keys) || x.keys[i].Key != o.Key {
				break
			}
			backwards := x.keys[i].Desc != o.Desc
			if directed && backwards != a.backwards {
				break
			}
			a.backwards, directed = backwards, true
			if q.After != nil {
				start = appendPart(start, dbvalue.SortKey(q.After[n]), x.keys[i].Desc)
			}
			i++
		}
		a.sorted = n + 1
	}
	switch {
	case q.After == nil || a.sorted == 0:
	case a.backwards:
		*s = s.both(span{"", above(start)})
	default:
		*s = s.both(span{string(start), ""})
	}
}

// records goes through what the access leads to.
func (a access) records() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		var seen map[*Record]bool
		if !a.unique {
			seen = map[*Record]bool{}
		}
		for _, read := range a.reads {
			for r := range read.x.walk(read.span, a.backwards) {
				if seen[r] {
					continue
				}
				if seen != nil {
					seen[r] = true
				}
				if !yield(r) {
					return
				}
			}
		}
	}
}

// page returns the records of a search, without those that changes are laid
// over. Records that are equal in the keys that the access delivers come
// together, and are sorted among themselves.
func (t *memTable) page(q Query, a access, over map[string]*Record) []*Record {
	var found []*Record
	var after [][]byte
	for _, v := range q.After {
		after = append(after, dbvalue.SortKey(v))
	}
	whole := a.sorted == len(q.Order)
	for r := range a.records() {
		if _, ok := over[r.ID]; ok || !q.Filter.Match(r) {
			continue
		}
		if after != nil {
			if q.compare(q.sortKeys(r), after) <= 0 {
				continue
			}
			if whole { // so are all that follow
				after = nil
			}
		}
		if len(found) >= q.Limit && (whole || !q.together(r, found[len(found)-1], a.sorted)) {
			break
		}
		found = append(found, r)
	}
	if whole {
		return found
	}
	return q.cut(found)
}

// together reports whether two records are equal in the first n keys of the
// order.
func (q Query) together(x, y *Record, n int) bool {
	for _, o := range q.Order[:n] {
		if !bytes.Equal(dbvalue.SortKey(x.Value(o.Key)), dbvalue.SortKey(y.Value(o.Key))) {
			return false
		}
	}
	return true
}

// sortKeys are those of a record, in the order's keys.
func (q Query) sortKeys(r *Record) [][]byte {
	keys := make([][]byte, len(q.Order))
	for i, o := range q.Order {
		keys[i] = dbvalue.SortKey(r.Value(o.Key))
	}
	return keys
}

// describe is the access for a Plan.
func (a access) describe(q Query) Plan {
	p := Plan{Sort: a.sorted < len(q.Order)}
	p.Scan = !a.narrows && (len(q.Filter.Conjuncts()) > 0 || a.sorted == 0)
	var lines []string
	for _, r := range a.reads {
		if !slices.Contains(p.Indexes, r.named) {
			p.Indexes = append(p.Indexes, r.named)
		}
		lines = append(lines, fmt.Sprintf("read %s: about %d of %d", r.named, r.x.estimate(r.span), r.x.n))
	}
	if p.Sort {
		lines = append(lines, "sort")
	}
	p.Engine = strings.Join(lines, "\n")
	return p
}
