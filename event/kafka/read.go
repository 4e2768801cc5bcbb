package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (d *driver) Read(ctx context.Context, q event.ReadRequest) (event.Page, error) {
	t, err := d.stream(ctx)
	if err != nil {
		return event.Page{}, err
	}
	if q.Reverse {
		return d.readBack(ctx, t, q)
	}
	var c *cursor
	if q.From.Kind == event.AfterPosition {
		c = d.back(q.From.ID)
	}
	if c == nil {
		from, err := d.locate(ctx, t, q.From)
		if err != nil || q.Max == 0 {
			return event.Page{Next: from.String()}, err
		}
		c = &cursor{next: from, parts: make([]part, len(from))}
	}
	if q.Max == 0 {
		return event.Page{Next: c.next.String()}, nil
	}
	page := event.Page{}
	if !c.ready() {
		page.Missed, err = d.fill(ctx, t, c, q)
		if err != nil {
			return event.Page{}, err
		}
	}
	d.merge(c, q, &page)
	page.Next, page.More = c.next.String(), c.more()
	if c.ready() {
		d.keep(c, page.Next)
	}
	return page, nil
}

// cursor is a place in the topic, and what a fetch has brought of it.
type cursor struct {
	next     vector
	parts    []part // by partition: its records begin at next
	position string // next, as the reader will say it
	kept     time.Time
}

// ready reports whether there is a record, and none before it is missing.
func (c *cursor) ready() bool {
	some := false
	for p := range c.parts {
		part := &c.parts[p]
		if len(part.records) > 0 {
			some = true
		} else if c.next[p] < part.end {
			return false // it has more, which was not fetched yet
		}
	}
	return some
}

func (c *cursor) more() bool {
	for p := range c.parts {
		if len(c.parts[p].records) > 0 || c.next[p] < c.parts[p].end {
			return true
		}
	}
	return false
}

// back takes the cursor of a reader that comes back.
func (d *driver) back(position string) *cursor {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.cursors, func(c *cursor) bool { return c.position == position && time.Since(c.kept) < keepCursor })
	if i < 0 {
		return nil
	}
	c := d.cursors[i]
	d.cursors = slices.Delete(d.cursors, i, i+1)
	return c
}

const (
	maxCursors = 16
	keepCursor = 10 * time.Second
)

func (d *driver) keep(c *cursor, position string) {
	c.position, c.kept = position, time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cursors = slices.DeleteFunc(d.cursors, func(old *cursor) bool { return time.Since(old.kept) >= keepCursor })
	if len(d.cursors) == maxCursors {
		d.cursors = slices.Delete(d.cursors, 0, 1)
	}
	d.cursors = append(d.cursors, c)
}

// fill fetches what the cursor lacks. It returns how many records of a reader
// that comes back are gone.
func (d *driver) fill(ctx context.Context, t *topic, c *cursor, q event.ReadRequest) (missed int64, err error) {
	from := map[int32]int64{}
	for p := range c.parts {
		if len(c.parts[p].records) == 0 {
			from[int32(p)] = c.next[p]
		}
	}
	bytes := partBytes
	if q.Max <= 16 && !narrow(q.Filter) {
		bytes = partBytes / 16
	}
	got, err := d.fetch(ctx, t.name, from, bytes)
	if err != nil {
		return 0, err
	}
	for p, g := range got {
		if g.outside {
			n, err := d.restart(ctx, t, c, int(p), bytes)
			if err != nil {
				return 0, err
			}
			if q.From.Kind == event.AfterPosition {
				missed += n
			}
			continue
		}
		c.parts[p] = g
		if len(g.records) == 0 {
			c.next[p] = g.next
		}
	}
	return missed, nil
}

// restart goes on at the beginning of a partition that has been trimmed, or made
// again.
func (d *driver) restart(ctx context.Context, t *topic, c *cursor, p, bytes int) (missed int64, err error) {
	starts, err := d.starts(ctx, t)
	if err != nil {
		return 0, err
	}
	missed = starts.at(p) - c.next[p]
	if missed <= 0 {
		missed = 1 // of another topic of the name
		d.forget(t.name)
	}
	c.next[p] = starts.at(p)
	got, err := d.fetch(ctx, t.name, map[int32]int64{int32(p): c.next[p]}, bytes)
	if err != nil {
		return 0, err
	}
	c.parts[p] = got[int32(p)]
	return missed, nil
}

// merge moves records from the cursor to the page, by their time and of one time
// by partition, until the page is full or something that comes before has to be
// fetched.
func (d *driver) merge(c *cursor, q event.ReadRequest, page *event.Page) {
	for len(page.Records) < q.Max && c.ready() {
		p := earliest(c.parts)
		m := c.parts[p].records[0]
		c.parts[p].records = c.parts[p].records[1:]
		c.next[p] = m.Offset + 1
		if r := d.decode(m, c.next.String()); r != nil && q.Filter.Match(r) {
			page.Records = append(page.Records, r)
		}
		if len(c.parts[p].records) == 0 { // over what is no record
			c.next[p] = max(c.next[p], c.parts[p].next)
		}
	}
}

func earliest(parts []part) int {
	best := -1
	for p := range parts {
		if rs := parts[p].records; len(rs) > 0 && (best < 0 || rs[0].Timestamp.Before(parts[best].records[0].Timestamp)) {
			best = p
		}
	}
	return best
}

// decode returns nil for a message that is no event.
func (d *driver) decode(m *kgo.Record, position string) *event.Record {
	r, err := record(m, position)
	if err != nil {
		d.log.Warn("event: message is no record", "topic", d.topic, "partition", m.Partition, "offset", m.Offset, "error", err)
		return nil
	}
	return r
}

// narrow reports whether a filter leaves most records out.
func narrow(f event.Filter) bool {
	return f.ID != "" || f.Source != "" || f.RootID != "" || f.Subject != "" || !f.Since.IsZero() || !f.Until.IsZero() || !f.Types.All()
}
