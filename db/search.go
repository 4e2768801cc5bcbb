package db

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fronts"
)

// SearchOption configures Search, All and Count.
type SearchOption func(*searchOptions) error

type searchOptions struct {
	filters []Filter
	order   []Order
	limit   int
	after   string
	scan    bool
	deleted bool

	selected bool // Select
	keys     []string
}

// Limits of a page.
const (
	defaultLimit = 100
	maxLimit     = 1000
	maxOrder     = 4
)

// Where asks for records that all of the filters match.
func Where(filters ...Filter) SearchOption {
	return func(o *searchOptions) error { o.filters = append(o.filters, filters...); return nil }
}

// OrderBy sorts by keys, the first one first; a '-' before a key sorts it
// from the greatest to the smallest. Keys are those of the metadata, or
// Field…; for one that itself begins with '-' use OrderByKeys. The default,
// and the last resort, is the order of the ids.
func OrderBy(keys ...string) SearchOption {
	order := make([]Order, len(keys))
	for i, k := range keys {
		name, desc := strings.CutPrefix(k, "-")
		order[i] = Order{Key: name, Desc: desc}
	}
	return OrderByKeys(order...)
}

// OrderByKeys is OrderBy with the direction apart from the name.
func OrderByKeys(order ...Order) SearchOption {
	return func(o *searchOptions) error {
		if len(order) > maxOrder {
			return invalidf("order by %d keys, limit %d", len(order), maxOrder)
		}
		o.order = slices.Clone(order)
		return nil
	}
}

// Limit is how many records a page has at most, 1 to 1000. The default is 100.
func Limit(n int) SearchOption {
	return func(o *searchOptions) error {
		if n < 1 || n > maxLimit {
			return invalidf("limit %d, want 1 to %d", n, maxLimit)
		}
		o.limit = n
		return nil
	}
}

// AllowScan lets a search, or a count, look at every record where no index
// serves it: to sort by a key that no Index has, or to find what only NotEqual,
// Not, Contains or keys without an Index say. Without it such a search is
// ErrUnsupported on the backends whose Features.AnyKey is false.
func AllowScan() SearchOption {
	return func(o *searchOptions) error { o.scan = true; return nil }
}

// After asks for the page that a cursor names, which came from Page.Next of
// the same search; the limit may differ. An empty cursor is the first page.
func After(cursor string) SearchOption {
	return func(o *searchOptions) error { o.after = cursor; return nil }
}

// newQuery checks the options of a search.
func (t *table) newQuery(opts []SearchOption) (Query, error) {
	o := searchOptions{limit: defaultLimit}
	err := fronts.Apply(&o, opts)
	if err != nil {
		return Query{}, err
	}
	fs := t.f.features
	q := Query{Limit: o.limit, NoData: o.selected, keys: o.keys, deleted: o.deleted}
	spec := t.spec
	if o.deleted {
		if !spec.soft {
			return Query{}, invalidf("OnlyDeleted, of a table that was opened without SoftDelete")
		}
		spec = spec.trash()
	}
	switch len(o.filters) {
	case 0:
	case 1:
		q.Filter, err = o.filters[0].check(fs)
	default:
		q.Filter, err = And(o.filters...).check(fs)
	}
	if err != nil {
		return Query{}, err
	}
	if err := q.Filter.declared(spec); err != nil {
		return Query{}, err
	}
	desc := false
	for i, k := range o.order {
		if err := checkSearchKey(k.Key); err != nil {
			return Query{}, err
		}
		if !fs.Order && !fs.OrderEqual && k.Key != FieldID {
			return Query{}, unsupportedf("order by %q", k.Key)
		}
		if slices.ContainsFunc(o.order[:i], func(before Order) bool { return before.Key == k.Key }) {
			return Query{}, invalidf("order by %q twice", k.Key)
		}
		q.Order, desc = append(q.Order, k), k.Desc
		if k.Key == FieldID {
			break // nothing after it makes a difference
		}
	}
	if n := len(q.Order); n == 0 || q.Order[n-1].Key != FieldID {
		q.Order = append(q.Order, Order{Key: FieldID, Desc: desc})
	}
	if o.deleted {
		q.Filter, q.Order = deletedFilter(q.Filter), deletedOrder(q.Order)
	}
	if !fs.AnyKey && !o.scan && !t.f.o.scans {
		if err := q.served(spec); err != nil {
			return Query{}, err
		}
	}
	if o.after != "" {
		q.After, err = t.readCursor(o.after, q)
		if err != nil {
			return Query{}, err
		}
	}
	return q, nil
}

// cursor names the page after record r.
func (t *table) cursor(q Query, r *Record) string {
	b := []byte{'['}
	for i, v := range q.at(r) {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = dbvalue.AppendValue(b, v) // values of records are normal
	}
	b = append(b, ']')
	return base64.RawURLEncoding.EncodeToString(append(t.sign(q, b), b...))
}

// at is the place of a record in an order.
func (q Query) at(r *Record) []any {
	place := make([]any, len(q.Order))
	for i, o := range q.Order {
		place[i] = r.Value(o.Key)
		if _, list := place[i].([]string); list {
			place[i] = []string{} // all lists have the same place
		}
	}
	return place
}

const signature = 16

// sign ties a cursor to its database, table, filter and order.
func (t *table) sign(q Query, payload []byte) []byte {
	m := hmac.New(sha256.New, t.f.o.cursorKey)
	e := json.NewEncoder(m)
	e.Encode([]any{t.place(q), q.Order})
	q.Filter.writeTo(e)
	m.Write(payload)
	return m.Sum(nil)[:signature]
}

func (f Filter) writeTo(e *json.Encoder) {
	e.Encode([]any{f.Op, f.Key, len(f.Values), len(f.Filters), dbvalue.SortKey(f.Value)})
	for _, v := range f.Values {
		e.Encode(dbvalue.SortKey(v))
	}
	for _, s := range f.Filters {
		s.writeTo(e)
	}
}

func (t *table) readCursor(cursor string, q Query) ([]any, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) < signature {
		return nil, invalidf("malformed cursor")
	}
	if !hmac.Equal(b[:signature], t.sign(q, b[signature:])) {
		return nil, invalidf("the cursor is not one of this search: other table, filter, order, or process without the same WithCursorKey")
	}
	var raw []any
	if err := dbvalue.DecodeJSON(b[signature:], &raw); err != nil || len(raw) != len(q.Order) {
		return nil, invalidf("malformed cursor")
	}
	for i, v := range raw {
		raw[i], err = dbvalue.FromJSON(v)
		if err != nil {
			return nil, invalidf("malformed cursor")
		}
	}
	return raw, nil
}
