package cassandra

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/fault"
)

func (d *driver) Get(ctx context.Context, name, id string) (*db.Record, error) {
	t, err := d.table(name)
	if err != nil {
		return nil, err
	}
	r, err := d.read(ctx, t, t.get, id)
	if err != nil {
		return nil, err
	}
	return &r.Record, nil
}

// source gives the candidates of a plan in its order.
type source func(ctx context.Context, n int) ([]candidate, error)

// candidates returns the source of a plan. after is the last record before, or
// nothing.
func (d *driver) candidates(ctx context.Context, t *table, p plan, desc bool, want int, after []any) (source, error) {
	var list []candidate
	switch {
	case p.ids != nil:
		for _, id := range p.ids {
			if id != "" {
				list = append(list, candidate{id: []byte(id)})
			}
		}
	case p.sorted:
		var err error
		list, err = d.newWalk(t, p, false, d.c.scanLimit).take(ctx, d.c.scanLimit+1)
		if err != nil {
			return nil, err
		}
	default:
		w := d.newWalk(t, p, desc, want)
		if after != nil {
			c := candidate{v: append([]byte{}, dbdriver.SortKey(after[0])...)}
			c.id = []byte(after[len(after)-1].(string))
			w.resume(c)
		}
		return w.take, nil
	}
	slices.SortFunc(list, func(a, b candidate) int { return bytes.Compare(a.id, b.id) })
	list = slices.CompactFunc(list, func(a, b candidate) bool { return bytes.Equal(a.id, b.id) })
	if desc {
		slices.Reverse(list)
	}
	if after != nil {
		id := []byte(after[len(after)-1].(string))
		list = slices.DeleteFunc(list, func(c candidate) bool {
			if desc {
				return bytes.Compare(c.id, id) >= 0
			}
			return bytes.Compare(c.id, id) <= 0
		})
	}
	return func(_ context.Context, n int) ([]candidate, error) {
		n = min(n, len(list))
		cs := list[:n]
		list = list[n:]
		return cs, nil
	}, nil
}

func (d *driver) Query(ctx context.Context, name string, q db.Query) ([]*db.Record, error) {
	t, err := d.table(name)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(q.Filter, q.Order)
	if err != nil {
		return nil, err
	}
	if p.order {
		return d.sort(ctx, t, p, q)
	}
	next, err := d.candidates(ctx, t, p, q.Order[0].Desc, q.Limit, q.After)
	if err != nil {
		return nil, err
	}
	found, seen := []*db.Record{}, map[string]bool{}
	for n := q.Limit; ; n = min(max(q.Limit-len(found), 2*n), 256) {
		cs, err := next(ctx, n)
		if err != nil || len(cs) == 0 {
			return found, err
		}
		rs, err := d.rows(ctx, t, t.get, cs)
		if err != nil {
			return nil, err
		}
		for i, r := range rs {
			if r == nil || seen[r.ID] || !q.Filter.Match(&r.Record) {
				continue
			}
			if len(q.Order) > 1 && !bytes.Equal(dbdriver.SortKey(r.Record.Value(q.Order[0].Key)), cs[i].v) {
				continue // it has moved to another place in the order
			}
			seen[r.ID] = true
			found = append(found, &r.Record)
			if len(found) == q.Limit {
				return found, nil
			}
		}
	}
}

// sort sorts all that a plan finds, and keeps no more of it than the page.
func (d *driver) sort(ctx context.Context, t *table, p plan, q db.Query) ([]*db.Record, error) {
	type sortable struct {
		r    *db.Record
		keys [][]byte
	}
	compare := func(a, b [][]byte) int {
		for i, o := range q.Order {
			if c := bytes.Compare(a[i], b[i]); c != 0 {
				if o.Desc {
					return -c
				}
				return c
			}
		}
		return 0
	}
	var after [][]byte
	for _, v := range q.After {
		after = append(after, dbdriver.SortKey(v))
	}
	next, err := d.candidates(ctx, t, p, false, d.c.scanLimit, nil)
	if err != nil {
		return nil, err
	}
	var page []sortable
	seen := map[string]bool{}
	for {
		cs, err := next(ctx, 256)
		if err != nil {
			return nil, err
		}
		if len(cs) == 0 {
			break
		}
		rs, err := d.rows(ctx, t, t.get, cs)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			if r == nil || seen[r.ID] || !q.Filter.Match(&r.Record) {
				continue
			}
			seen[r.ID] = true
			s := sortable{r: &r.Record}
			for _, o := range q.Order {
				s.keys = append(s.keys, dbdriver.SortKey(s.r.Value(o.Key)))
			}
			if after == nil || compare(s.keys, after) > 0 {
				page = append(page, s)
			}
		}
		slices.SortFunc(page, func(a, b sortable) int { return compare(a.keys, b.keys) })
		page = slices.Delete(page, min(len(page), q.Limit), len(page))
	}
	found := make([]*db.Record, len(page))
	for i, s := range page {
		found[i] = s.r
	}
	return found, nil
}

func (d *driver) Count(ctx context.Context, name string, f db.Filter) (int64, error) {
	t, err := d.table(name)
	if err != nil {
		return 0, err
	}
	p, err := newPlan(f, []db.Order{{Key: db.FieldID}})
	if err != nil {
		return 0, err
	}
	next, err := d.candidates(ctx, t, p, false, d.c.scanLimit, nil)
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	for {
		cs, err := next(ctx, 256)
		if err != nil || len(cs) == 0 {
			return int64(len(seen)), err
		}
		rs, err := d.rows(ctx, t, t.look, cs)
		if err != nil {
			return 0, err
		}
		for _, r := range rs {
			if r != nil && f.Match(&r.Record) {
				seen[r.ID] = true
			}
		}
	}
}

// rows reads the records that candidates name: nil where there is none any
// more.
func (d *driver) rows(ctx context.Context, t *table, text string, cs []candidate) ([]*row, error) {
	rs := make([]*row, len(cs))
	err := parallel(ctx, len(cs), func(ctx context.Context, i int) error {
		r, err := d.read(ctx, t, text, string(cs[i].id))
		switch {
		case errors.Is(err, fault.NotFound):
		case err != nil:
			return err
		default:
			rs[i] = r
		}
		if cs[i].key != "" && (rs[i] == nil || rs[i].stamp != cs[i].stamp) && time.Since(made(cs[i].stamp)) > strayAge {
			d.sweep(ctx, t, cs[i])
		}
		return nil
	})
	return rs, err
}

// strayAge is when an entry without its row is no longer that of a write in
// progress.
const strayAge = 24 * time.Hour

// sweep removes an entry that a failed write left behind. The serial read ends
// a write that was accepted by some nodes and never decided, so that it can't
// appear later.
func (d *driver) sweep(ctx context.Context, t *table, c candidate) {
	stored, _, err := d.serial(ctx, t, string(c.id))
	if err != nil || stored == c.stamp {
		return
	}
	d.leave(ctx, t, string(c.id), c.stamp, []entry{{c.key, c.v}})
}
