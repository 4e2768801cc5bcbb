package kafka

import (
	"context"

	"github.com/micro/go-platform/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scan is how many records of a partition a filtered read looks at, at least.
const scan = 1000

// readBack reads from the newest to the oldest. A vector of several partitions
// stands after the newest of the records before it, and so at it.
func (d *driver) readBack(ctx context.Context, t *topic, q event.ReadRequest) (event.Page, error) {
	ends, skip, err := d.before(ctx, t, q.From)
	if err != nil {
		return event.Page{}, err
	}
	if q.Max == 0 {
		return event.Page{Next: ends.String()}, nil
	}
	starts, err := d.starts(ctx, t)
	if err != nil {
		return event.Page{}, err
	}
	size := int64(q.Max + 1)
	if narrow(q.Filter) {
		size = max(size, scan)
	}
	windows := make([]window, len(ends))
	for p := range windows {
		windows[p], err = d.window(ctx, t, int32(p), starts.at(p), ends.at(p), size)
		if err != nil {
			return event.Page{}, err
		}
	}
	page := event.Page{}
	for len(page.Records) < q.Max {
		p := latest(windows)
		if p < 0 {
			return page, nil
		}
		rs := windows[p].records
		m := rs[len(rs)-1]
		windows[p].records = rs[:len(rs)-1]
		at := ends.String() // after this record, and before what was read already
		ends[p] = m.Offset
		if len(ends) == 1 {
			at = vector{m.Offset + 1}.String()
		}
		if len(rs) == 1 && windows[p].start > starts.at(p) {
			// What is before the window may be newer than what others have left.
			page.More = true
		}
		if !skip {
			page.Next = at
			if r := d.decode(m, at); r != nil && q.Filter.Match(r) {
				page.Records = append(page.Records, r)
			}
		}
		skip = false
		if page.More {
			return page, nil
		}
	}
	page.More = latest(windows) >= 0
	return page, nil
}

// before returns where reading back begins, and whether the first record is that
// of the position itself.
func (d *driver) before(ctx context.Context, t *topic, from event.Position) (ends vector, skip bool, err error) {
	switch from.Kind {
	case event.AtTime:
		ends, err = d.since(ctx, t, from.Time)
		return ends, false, err
	case event.AfterPosition:
		a, err := parse(from.ID)
		if err != nil {
			return nil, false, err
		}
		v, err := d.whole(ctx, t, a)
		if err != nil {
			return nil, false, err
		}
		if p := max(a.partition, 0); a.partition >= 0 || len(v) == 1 {
			v[p] = max(v[p]-1, 0)
			return v, false, nil
		}
		return v, true, nil
	}
	ends, err = d.ends(ctx, t)
	return ends, false, err
}

// window is the last records of a partition before an offset.
type window struct {
	records []*kgo.Record
	start   int64 // where it begins
}

// window reads the last records before end, some more than n offsets if there are
// gaps.
func (d *driver) window(ctx context.Context, t *topic, p int32, start, end, n int64) (window, error) {
	w := window{start: end}
	for len(w.records) == 0 && w.start > start {
		until := w.start
		w.start = max(start, until-n)
		for next := w.start; next < until; {
			got, err := d.fetch(ctx, t.name, map[int32]int64{p: next}, partBytes)
			if err != nil {
				return window{}, err
			}
			g := got[p]
			for _, m := range g.records {
				if m.Offset < until {
					w.records = append(w.records, m)
				}
			}
			if g.outside || g.next <= next { // trimmed at this moment, or the end
				if g.outside && len(w.records) == 0 {
					w.start = start
				}
				break
			}
			next = g.next
		}
	}
	return w, nil
}

// latest is the reverse of earliest: of one time, the last partition is the
// latest.
func latest(windows []window) int {
	best := -1
	var newest *kgo.Record
	for p, w := range windows {
		if n := len(w.records); n > 0 && (best < 0 || !w.records[n-1].Timestamp.Before(newest.Timestamp)) {
			best, newest = p, w.records[n-1]
		}
	}
	return best
}
