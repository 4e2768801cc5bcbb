package db

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/dbvalue"
)

// Filter says which records are asked for. The zero Filter asks for all. Make
// filters with the functions; the fields are for drivers.
type Filter struct {
	Op      Operator
	Key     string   // metadata key, or Field… for the record's own
	Value   any      // what Key is compared with, in the type that Metadata comes back with
	Values  []any    // of In
	Filters []Filter // of And, Or and Not
}

// Operator is what a Filter does.
type Operator string

// The operators.
const (
	OpAll            Operator = ""
	OpEqual          Operator = "="
	OpNotEqual       Operator = "!="
	OpLess           Operator = "<"
	OpLessOrEqual    Operator = "<="
	OpGreater        Operator = ">"
	OpGreaterOrEqual Operator = ">="
	OpIn             Operator = "in"
	OpPrefix         Operator = "prefix"
	OpContains       Operator = "contains"
	OpHas            Operator = "has"
	OpExists         Operator = "exists"
	OpMatch          Operator = "match"
	OpAnd            Operator = "and"
	OpOr             Operator = "or"
	OpNot            Operator = "not"
)

// Equal matches records whose key has this value.
func Equal(key string, value any) Filter { return Filter{Op: OpEqual, Key: key, Value: tidy(value)} }

// NotEqual is Not(Equal(key, value)): it matches records without the key too.
func NotEqual(key string, value any) Filter {
	return Filter{Op: OpNotEqual, Key: key, Value: tidy(value)}
}

// Less matches records whose key has a smaller value of the same type.
func Less(key string, value any) Filter { return Filter{Op: OpLess, Key: key, Value: tidy(value)} }

// LessOrEqual matches Less or Equal.
func LessOrEqual(key string, value any) Filter {
	return Filter{Op: OpLessOrEqual, Key: key, Value: tidy(value)}
}

// Greater matches records whose key has a greater value of the same type.
func Greater(key string, value any) Filter {
	return Filter{Op: OpGreater, Key: key, Value: tidy(value)}
}

// GreaterOrEqual matches Greater or Equal.
func GreaterOrEqual(key string, value any) Filter {
	return Filter{Op: OpGreaterOrEqual, Key: key, Value: tidy(value)}
}

// In matches records whose key has one of the values, of which there are 1 to 100.
func In(key string, values ...any) Filter {
	f := Filter{Op: OpIn, Key: key, Values: make([]any, len(values))}
	for i, v := range values {
		f.Values[i] = tidy(v)
	}
	return f
}

// Prefix matches records whose key has a string that begins with prefix, byte
// by byte.
func Prefix(key, prefix string) Filter { return Filter{Op: OpPrefix, Key: key, Value: prefix} }

// Contains matches records whose key has a list with the element s, or a
// string with s somewhere in it, byte by byte.
func Contains(key, s string) Filter { return Filter{Op: OpContains, Key: key, Value: s} }

// Has matches records whose key has a list with this element. Lists are indexed
// by their elements, whether an Index declares the key or not.
func Has(key, element string) Filter { return Filter{Op: OpHas, Key: key, Value: element} }

// Exists matches records that have the key, whatever its value.
func Exists(key string) Filter { return Filter{Op: OpExists, Key: key} }

// And matches records that all filters match; none match everything.
func And(filters ...Filter) Filter { return Filter{Op: OpAnd, Filters: filters} }

// Or matches records that any of the filters matches; none match nothing.
func Or(filters ...Filter) Filter { return Filter{Op: OpOr, Filters: filters} }

// Not matches records that the filter does not match.
func Not(filter Filter) Filter { return Filter{Op: OpNot, Filters: []Filter{filter}} }

// tidy returns a value in its normal type; what has none is refused later.
func tidy(v any) any {
	if n, err := normal("", v); err == nil {
		return n
	}
	return v
}

const (
	maxIn    = 100
	maxDepth = 8
	maxTerms = 100
)

// check returns the filter with normal values, and says what is wrong with it
// or more than the backend can do.
func (f Filter) check(fs Features) (Filter, error) {
	terms := 0
	return f.checkAt(fs, 0, &terms)
}

func (f Filter) checkAt(fs Features, depth int, terms *int) (Filter, error) {
	if depth > maxDepth {
		return f, invalidf("filters nested deeper than %d", maxDepth)
	}
	*terms++
	if *terms > maxTerms {
		return f, invalidf("more than %d filters", maxTerms)
	}
	if !fs.filters(f.Op) {
		return f, unsupportedf("filter %q", f.Op)
	}
	switch f.Op {
	case OpAll:
		return f, nil
	case OpAnd, OpOr, OpNot:
		if f.Op == OpNot && len(f.Filters) != 1 {
			return f, invalidf("Not of %d filters, want 1", len(f.Filters))
		}
		subs := make([]Filter, len(f.Filters))
		for i, s := range f.Filters {
			var err error
			subs[i], err = s.checkAt(fs, depth+1, terms)
			if err != nil {
				return f, err
			}
		}
		f.Filters = subs
		return f, nil
	}
	if err := checkSearchKey(f.Key); err != nil {
		return f, err
	}
	var err error
	switch f.Op {
	case OpExists:
	case OpIn:
		if len(f.Values) == 0 || len(f.Values) > maxIn {
			return f, invalidf("%d values of %q, want 1 to %d", len(f.Values), f.Key, maxIn)
		}
		vs := make([]any, len(f.Values))
		for i, v := range f.Values {
			vs[i], err = f.operand(v)
			if err != nil {
				return f, err
			}
		}
		f.Values = vs
	case OpPrefix, OpContains, OpHas, OpMatch:
		if f.Op == OpHas && f.Key == FieldID || f.Key == FieldVersion || isTime(f.Key) {
			return f, invalidf("filter %q on %s", f.Op, f.Key)
		}
		f.Value, err = f.operand(f.Value)
		if err != nil {
			return f, err
		}
		s, ok := f.Value.(string)
		if !ok {
			return f, invalidf("filter %q of %q with a %T, want a string", f.Op, f.Key, f.Value)
		}
		if f.Op == OpMatch {
			if n := len(dbvalue.Words(s)); f.Key == FieldID || n < 1 || n > maxWords {
				err = invalidf("%d words to match with %q, want 1 to %d", n, f.Key, maxWords)
			}
		}
	case OpEqual, OpNotEqual, OpLess, OpLessOrEqual, OpGreater, OpGreaterOrEqual:
		f.Value, err = f.operand(f.Value)
	default:
		return f, invalidf("unknown filter %q", f.Op)
	}
	return f, err
}

// filters reports whether a backend with these features has an operator.
func (fs Features) filters(op Operator) bool {
	switch op {
	case OpLess, OpLessOrEqual, OpGreater, OpGreaterOrEqual:
		return fs.Compare
	case OpPrefix:
		return fs.Prefix
	case OpContains, OpHas:
		return fs.Contains
	case OpExists:
		return fs.Exists
	case OpMatch:
		return fs.FullText
	case OpOr:
		return fs.Or
	case OpNot, OpNotEqual:
		return fs.Not
	}
	return true
}

// operand returns a value that a key can be compared with.
func (f Filter) operand(v any) (any, error) {
	n, err := normal(f.Key, v)
	if err != nil {
		return nil, err
	}
	if _, ok := n.([]string); ok {
		return nil, invalidf("%q is compared with a list, want Contains", f.Key)
	}
	ok := true
	switch f.Key {
	case FieldID:
		_, ok = n.(string)
	case FieldVersion:
		_, ok = n.(int64)
	default:
		if isTime(f.Key) {
			_, ok = n.(time.Time)
		}
	}
	if !ok {
		return nil, invalidf("%s is compared with a %T", f.Key, v)
	}
	return n, nil
}

func checkSearchKey(key string) error {
	switch key {
	case FieldID, FieldVersion:
		return nil
	}
	if isTime(key) {
		return nil
	}
	return checkKey(key)
}

// isTime reports whether a key is a field that has a time.
func isTime(key string) bool {
	return key == FieldCreated || key == FieldUpdated || key == FieldExpires || key == FieldDeleted
}

// Match reports whether a record is asked for. It is what every backend must
// agree with. A filter that a search would refuse matches nothing.
func (f Filter) Match(r *Record) bool {
	switch f.Op {
	case OpAll:
		return true
	case OpAnd:
		return !slices.ContainsFunc(f.Filters, func(s Filter) bool { return !s.Match(r) })
	case OpOr:
		return slices.ContainsFunc(f.Filters, func(s Filter) bool { return s.Match(r) })
	case OpNot:
		return len(f.Filters) == 1 && !f.Filters[0].Match(r)
	}
	v := r.Value(f.Key)
	want, text := f.Value.(string)
	switch f.Op {
	case OpExists:
		return v != nil
	case OpNotEqual:
		return !equal(v, f.Value)
	case OpEqual:
		return equal(v, f.Value)
	case OpIn:
		return slices.ContainsFunc(f.Values, func(w any) bool { return equal(v, w) })
	case OpPrefix:
		s, ok := v.(string)
		return ok && text && strings.HasPrefix(s, want)
	case OpContains:
		if l, ok := v.([]string); ok {
			return text && slices.Contains(l, want)
		}
		s, ok := v.(string)
		return ok && text && strings.Contains(s, want)
	case OpHas:
		l, ok := v.([]string)
		return ok && text && slices.Contains(l, want)
	case OpMatch:
		return text && hasWords(v, want)
	}
	a, b := dbvalue.SortKey(v), dbvalue.SortKey(f.Value)
	if len(a) == 0 || len(b) == 0 || a[0] != b[0] {
		return false
	}
	c := bytes.Compare(a, b)
	switch f.Op {
	case OpLess:
		return c < 0
	case OpLessOrEqual:
		return c <= 0
	case OpGreater:
		return c > 0
	case OpGreaterOrEqual:
		return c >= 0
	}
	return false
}

func equal(a, b any) bool {
	if s, ok := a.(string); ok { // the common case, without a key
		t, ok := b.(string)
		return ok && s == t
	}
	k := dbvalue.SortKey(a)
	return len(k) > 0 && bytes.Equal(k, dbvalue.SortKey(b))
}
