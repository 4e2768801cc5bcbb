package db

import "slices"

// served reports whether the indexes of a table serve a search, so that what it
// costs depends on what it finds and not on what the table holds. What they
// don't serve is ErrUnsupported unless a scan is allowed.
func (q Query) served(t TableSpec) error {
	indexes := slices.Concat(builtin, t.Indexes)
	must := q.Filter.Conjuncts()
	if slices.ContainsFunc(must, func(f Filter) bool { return f.narrows(indexes) }) {
		return nil
	}
	if len(must) > 0 {
		return unsupportedf("no Index begins with a key of this search, so it would look at every record: declare one, or allow it with AllowScan")
	}
	order := q.Order[:len(q.Order)-1] // without the id
	if len(order) == 0 || slices.ContainsFunc(indexes, func(index []Order) bool { return sorts(index, order) }) {
		return nil
	}
	return unsupportedf("no Index has the order %q, so that every record would be sorted: declare one, or allow it with AllowScan", indexName(order))
}

// narrows reports whether an index leads to the records that a filter matches.
func (f Filter) narrows(indexes [][]Order) bool {
	switch f.Op {
	case OpHas, OpMatch: // lists are indexed by their elements, texts by their words
		return true
	case OpAnd:
		return slices.ContainsFunc(f.Filters, func(s Filter) bool { return s.narrows(indexes) })
	case OpOr:
		return !slices.ContainsFunc(f.Filters, func(s Filter) bool { return !s.narrows(indexes) })
	case OpEqual, OpIn, OpLess, OpLessOrEqual, OpGreater, OpGreaterOrEqual, OpPrefix, OpExists:
		return f.Key == FieldID || slices.ContainsFunc(indexes, func(index []Order) bool { return index[0].Key == f.Key })
	}
	return false
}

// sorts reports whether an index, read forwards or backwards, has an order.
func sorts(index, order []Order) bool {
	if len(index) != len(order) {
		return false
	}
	for i, o := range order {
		if index[i].Key != o.Key || (index[i].Desc != o.Desc) != (index[0].Desc != order[0].Desc) {
			return false
		}
	}
	return true
}

// Conjuncts returns the filters that must all match for f to match: those of
// nested Ands, without what asks for nothing.
func (f Filter) Conjuncts() []Filter {
	var all []Filter
	switch f.Op {
	case OpAll:
	case OpAnd:
		for _, s := range f.Filters {
			all = append(all, s.Conjuncts()...)
		}
	default:
		all = []Filter{f}
	}
	return all
}
