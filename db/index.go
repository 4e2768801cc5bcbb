package db

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Limits of the indexes of a table.
const (
	maxIndexes   = 32
	maxIndexKeys = 4
)

// Index declares an index over the values of metadata keys: the database
// searches by the first key alone, by the first and the second, and so on, and
// sorts by all of them. A '-' before a key sorts it from the greatest to the
// smallest. The keys may also be FieldCreated, FieldUpdated, FieldExpires and FieldVersion. An
// index has 1 to 4 keys, a table up to 32 indexes.
//
//	db.Index("customer")                  // Equal, In, ranges, Prefix, Exists, OrderBy
//	db.Index("customer", "-@created")     // a customer's newest
//
// The id, FieldCreated and FieldUpdated have indexes without being declared.
// Declaring an index of a table that has records builds it: Table returns when
// it is done, and others can write meanwhile. An index that is no longer
// declared stays.
func Index(keys ...string) TableOption {
	return func(t *TableSpec) error {
		if len(keys) < 1 || len(keys) > maxIndexKeys {
			return invalidf("an index of %d keys, want 1 to %d", len(keys), maxIndexKeys)
		}
		var index []Order
		for _, k := range keys {
			name, desc := strings.CutPrefix(k, "-")
			switch name {
			case FieldCreated, FieldUpdated, FieldExpires, FieldVersion:
			default:
				if err := checkKey(name); err != nil {
					return err
				}
			}
			if slices.ContainsFunc(index, func(o Order) bool { return o.Key == name }) {
				return invalidf("an index with %q twice", name)
			}
			index = append(index, Order{Key: name, Desc: desc})
		}
		t.Indexes = merge(t.Indexes, [][]Order{index})
		if len(t.Indexes) > maxIndexes {
			return tooLargef("%d indexes, limit %d", len(t.Indexes), maxIndexes)
		}
		return nil
	}
}

// IndexProgress says how far the building of an index is.
type IndexProgress struct {
	Index   string // its keys, as in "customer,-total"
	Done    int64  // records that are indexed; an estimate
	Total   int64  // records; an estimate
	Elapsed time.Duration
	Ready   bool // it is built
}

// OnIndexProgress has f called while Table builds an index: when it begins,
// about every second where the database says how far it is, and when it is
// ready. f is not called concurrently. If it panics the index is built all the same,
// and Table returns an error.
func OnIndexProgress(f func(IndexProgress)) TableOption {
	return func(t *TableSpec) error {
		if f == nil {
			return invalidf("nil function for the progress of indexes")
		}
		t.Progress = f
		return nil
	}
}

// guardProgress keeps a panic of the function of OnIndexProgress from who builds the
// index. failed returns it; the function is not called again.
func (t *TableSpec) guardProgress() (failed func() error) {
	var err error
	f := t.Progress
	if f != nil {
		t.Progress = func(p IndexProgress) {
			if err == nil {
				err = fault.Guard(func() error { f(p); return nil })
			}
		}
	}
	return func() error {
		if err != nil {
			return fmt.Errorf("the function of OnIndexProgress: %w", err)
		}
		return nil
	}
}

// indexName is how an index is named for people: its keys, as in
// "customer,-total".
func indexName(keys []Order) string {
	names := make([]string, len(keys))
	for i, o := range keys {
		names[i] = o.String()
	}
	return strings.Join(names, ",")
}

// String is the key, with a '-' before it if the order is from the greatest to
// the smallest.
func (o Order) String() string {
	if o.Desc {
		return "-" + o.Key
	}
	return o.Key
}

// With returns the table with the indexes of another one, too, and what else it
// declares.
func (t TableSpec) With(o TableSpec) TableSpec {
	t.Indexes = merge(t.Indexes, o.Indexes)
	t.FullText = slices.Compact(slices.Sorted(slices.Values(slices.Concat(t.FullText, o.FullText))))
	if !t.expires {
		t.expires, t.ttl = o.expires, o.ttl
	}
	if !t.soft {
		t.soft, t.keep = o.soft, o.keep
	}
	return t
}

// merge returns both lists of indexes, sorted, each index once.
func merge(a, b [][]Order) [][]Order {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y []Order) int { return strings.Compare(indexName(x), indexName(y)) })
	return slices.CompactFunc(all, func(x, y []Order) bool { return slices.Equal(x, y) })
}

// builtin are the indexes that every table has beside that of the ids.
var builtin = [][]Order{{{Key: FieldCreated}}, {{Key: FieldUpdated}}}
