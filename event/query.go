package event

import (
	"context"
	"iter"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Filter says which records are asked for: those that match all that is set.
type Filter struct {
	Types        Patterns
	ID           string
	Source       string
	RootID       string
	Subject      string
	Since, Until time.Time // by Record.Time: Since ≤ Time < Until
}

// Match reports whether a record is asked for.
func (f *Filter) Match(r *Record) bool {
	return (f.ID == "" || f.ID == r.ID) &&
		(f.Source == "" || f.Source == r.Source) &&
		(f.RootID == "" || f.RootID == r.RootID) &&
		(f.Subject == "" || f.Subject == r.Subject) &&
		(f.Since.IsZero() || !r.Time.Before(f.Since)) &&
		(f.Until.IsZero() || r.Time.Before(f.Until)) &&
		(f.ID != "" || f.RootID != "" && f.Types.list == nil || f.Types.Match(r.Type))
}

type queryOptions struct {
	filter  Filter
	from    Position
	fromSet bool
	reverse bool
	limit   int
}

func newQueryOptions(opts []QueryOption) (*queryOptions, error) {
	o := &queryOptions{}
	for _, opt := range opts {
		if opt == nil {
			return nil, invalidf("nil option")
		}
		if err := opt.query(o); err != nil {
			return nil, err
		}
	}
	if !o.fromSet {
		o.from = Beginning()
	}
	if !o.filter.Since.IsZero() && !o.filter.Until.IsZero() && o.filter.Until.Before(o.filter.Since) {
		return nil, invalidf("until %v is before since %v", o.filter.Until, o.filter.Since)
	}
	return o, nil
}

type queryFunc func(*queryOptions) error

func (f queryFunc) query(o *queryOptions) error { return f(o) }

// ID selects the record with this id, dead letters too.
func ID(id string) QueryOption { return selectText("id", id, func(f *Filter, s string) { f.ID = s }) }

// Source selects records of one source.
func Source(s string) QueryOption {
	return selectText("source", s, func(f *Filter, s string) { f.Source = s })
}

// Root selects the records of one story, by RootID; without Types, dead
// letters too.
func Root(id string) QueryOption {
	return selectText("root id", id, func(f *Filter, s string) { f.RootID = s })
}

// Subject selects records about one subject.
func Subject(s string) QueryOption {
	return selectText("subject", s, func(f *Filter, s string) { f.Subject = s })
}

func selectText(what, s string, set func(*Filter, string)) QueryOption {
	return queryFunc(func(o *queryOptions) error {
		if s == "" {
			return invalidf("empty %s", what)
		}
		set(&o.filter, s)
		return checkText(what, s)
	})
}

// Since selects records whose Time is t or later.
func Since(t time.Time) QueryOption {
	return queryFunc(func(o *queryOptions) error { o.filter.Since = t; return nil })
}

// Until selects records whose Time is before t.
func Until(t time.Time) QueryOption {
	return queryFunc(func(o *queryOptions) error { o.filter.Until = t; return nil })
}

// Limit ends a query after n records.
func Limit(n int) QueryOption {
	return queryFunc(func(o *queryOptions) error {
		if n < 1 {
			return invalidf("limit %d, want 1 or more", n)
		}
		o.limit = n
		return nil
	})
}

// Reverse goes from the newest record to the oldest.
func Reverse() QueryOption {
	return queryFunc(func(o *queryOptions) error { o.reverse = true; return nil })
}

// queryPage is how many records a query asks its driver for at once.
const queryPage = 512

func (f *front) Query(ctx context.Context, opts ...QueryOption) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		o, err := newQueryOptions(opts)
		if err != nil {
			yield(nil, f.wrap("query", "", err))
			return
		}
		if err := f.query(ctx, o, func(r *Record) bool { return yield(r, nil) }); err != nil {
			yield(nil, f.wrap("query", "", err))
		}
	}
}

// query calls visit for every record until it returns false.
func (f *front) query(ctx context.Context, o *queryOptions, visit func(*Record) bool) error {
	if !f.life.Enter() {
		return fault.Closed
	}
	defer f.life.Leave()
	ctx, release := f.life.Join(ctx)
	defer release()

	from, err := f.resolve(ctx, o.from)
	if err != nil {
		return err
	}
	for n := 0; ; {
		size := queryPage
		if o.limit > 0 && o.filter.ID == "" {
			size = min(size, max(16, o.limit-n))
		}
		page, err := f.readPage(ctx, ReadRequest{From: from, Filter: o.filter, Max: size, Reverse: o.reverse})
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			if !o.filter.Match(r) {
				continue
			}
			if !visit(r) {
				return nil
			}
			n++
			if n == o.limit || o.filter.ID != "" {
				return nil
			}
		}
		if !page.More || page.Next == "" {
			return nil
		}
		from = After(page.Next)
	}
}

// readPage is one request, with the default deadline.
func (f *front) readPage(ctx context.Context, q ReadRequest) (Page, error) {
	ctx, limit, cancel := f.limited(ctx)
	defer cancel()
	page, err := f.driver.Read(ctx, q)
	return page, limit.Late(ctx, err)
}

// resolve finds the record of AfterID.
func (f *front) resolve(ctx context.Context, p Position) (Position, error) {
	if p.Kind != afterRecord {
		return p, nil
	}
	from := Beginning()
	for {
		page, err := f.readPage(ctx, ReadRequest{From: from, Filter: Filter{ID: p.ID}, Max: queryPage})
		if err != nil {
			return p, err
		}
		for _, r := range page.Records {
			if r.ID == p.ID {
				return After(r.Position), nil
			}
		}
		if !page.More || page.Next == "" {
			return p, fault.Markf(ErrNotFound, "no record with id %q", p.ID)
		}
		from = After(page.Next)
	}
}
