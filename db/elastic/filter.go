package elastic

import (
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/dbvalue"
)

var everything = object{"match_all": object{}}

// query returns the query of a filter. It scores nothing.
func query(f db.Filter) object {
	switch f.Op {
	case db.OpAll:
		return everything
	case db.OpAnd:
		if len(f.Filters) == 0 {
			return everything
		}
		return object{"bool": object{"filter": queries(f.Filters)}}
	case db.OpOr:
		return anyOf(queries(f.Filters)...)
	case db.OpNot:
		return not(query(f.Filters[0]))
	case db.OpNotEqual:
		f.Op = db.OpEqual
		return not(query(f))
	}
	switch f.Key {
	case db.FieldID:
		return own(f, "id", func(v any) any { return v })
	case db.FieldVersion:
		return own(f, "version", func(v any) any { return v })
	case db.FieldCreated:
		return own(f, "created", micros)
	case db.FieldUpdated:
		return own(f, "updated", micros)
	}
	return meta(f)
}

func queries(fs []db.Filter) []object {
	qs := make([]object, len(fs))
	for i, f := range fs {
		qs[i] = query(f)
	}
	return qs
}

func anyOf(qs ...object) object {
	if len(qs) == 0 {
		return object{"match_none": object{}}
	}
	return object{"bool": object{"should": qs, "minimum_should_match": 1}}
}

func not(q object) object { return object{"bool": object{"must_not": []object{q}}} }

func term(field string, v any) object { return object{"term": object{field: object{"value": v}}} }

func micros(v any) any { return v.(time.Time).UnixMicro() }

// ranges has the words for the ends of ranges.
var ranges = map[db.Operator]string{db.OpLess: "lt", db.OpLessOrEqual: "lte", db.OpGreater: "gt", db.OpGreaterOrEqual: "gte"}

// own is a filter on a record's own field.
func own(f db.Filter, field string, value func(any) any) object {
	switch f.Op {
	case db.OpExists:
		return everything
	case db.OpEqual:
		return term(field, value(f.Value))
	case db.OpIn:
		vs := make([]any, len(f.Values))
		for i, v := range f.Values {
			vs[i] = value(v)
		}
		return object{"terms": object{field: vs}}
	case db.OpPrefix:
		return prefix(field, f.Value.(string))
	case db.OpContains:
		return contains(field, "", f.Value.(string))
	}
	v := value(f.Value)
	if s, ok := v.(string); ok && len(s) > maxAutomaton {
		v = cut(s, maxAutomaton) // which is longer than any id too
	}
	return object{"range": object{field: object{ranges[f.Op]: v}}}
}

// meta is a filter on a key of the metadata.
func meta(f db.Filter) object {
	const field = "values"
	key := head(f.Key)
	switch f.Op {
	case db.OpExists:
		return term("keys", f.Key)
	case db.OpEqual:
		return term(field, key+dbvalue.Sortable(f.Value))
	case db.OpIn:
		vs := make([]string, len(f.Values))
		for i, v := range f.Values {
			vs[i] = key + dbvalue.Sortable(v)
		}
		return object{"terms": object{field: vs}}
	case db.OpPrefix:
		return prefix(field, key+"s"+f.Value.(string))
	case db.OpHas:
		return term(field, key+string(element)+f.Value.(string))
	case db.OpMatch:
		words := dbdriver.Words(f.Value.(string))
		all := make([]object, len(words))
		for i, w := range words {
			all[i] = term(field, key+string(word)+w)
		}
		return object{"bool": object{"filter": all}}
	case db.OpContains:
		s := f.Value.(string)
		return anyOf(term(field, key+string(element)+s), contains(field, key+"s", s))
	}
	// Values of other types don't compare: the range ends with the type.
	v := dbvalue.Sortable(f.Value)
	return compare(field, f.Op, key+v, key+v[:1], key+string(v[0]+1))
}

func prefix(field, p string) object {
	switch {
	case p == "":
		return everything // of id, which all have
	case len(p) > maxAutomaton:
		return expression(field, never+literal(p)+".*")
	}
	return object{"prefix": object{field: object{"value": p}}}
}

// contains finds the terms that begin with one text and have another after it.
func contains(field, begin, s string) object {
	if s == "" {
		return prefix(field, begin)
	}
	return expression(field, literal(begin)+".*"+literal(s)+".*")
}

// sorted is an order as searches take it.
func sorted(order []db.Order) []object {
	list := make([]object, len(order))
	for i, o := range order {
		by, missing := "asc", "_first" // nothing is less than anything
		if o.Desc {
			by, missing = "desc", "_last"
		}
		switch o.Key {
		case db.FieldID, db.FieldVersion, db.FieldCreated, db.FieldUpdated:
			list[i] = object{o.Key[1:]: object{"order": by}}
		default:
			list[i] = object{"order.value": object{
				"order": by, "missing": missing, "nested": object{"path": "order", "filter": term("order.key", o.Key)},
			}}
		}
	}
	return list
}

// after returns the place of a record in an order, from its values.
func after(order []db.Order, values []any) []any {
	list := make([]any, len(values))
	for i, v := range values {
		switch order[i].Key {
		case db.FieldID, db.FieldVersion:
			list[i] = v
		case db.FieldCreated, db.FieldUpdated:
			list[i] = micros(v)
		default:
			if v != nil {
				list[i] = dbvalue.Sortable(v)
			}
		}
	}
	return list
}
