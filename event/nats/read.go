package nats

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func parse(position string) (uint64, error) {
	if position == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(position, 10, 64)
	if err != nil {
		return 0, fault.Markf(fault.Invalid, "position %q is not one of this stream", position)
	}
	return n, nil
}

func format(n uint64) string { return strconv.FormatUint(n, 10) }

// state returns the first and the last sequence. An empty stream has first =
// last + 1.
func (d *driver) state(ctx context.Context) (jetstream.StreamState, error) {
	s, err := d.stream(ctx)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	info, err := infoOf(ctx, s)
	if err != nil {
		return jetstream.StreamState{}, nats.ReadError(d.lost(err))
	}
	st := info.State
	if st.FirstSeq == 0 {
		st.FirstSeq = 1
	}
	return st, nil
}

// locate returns the sequence that reading begins after.
func (d *driver) locate(ctx context.Context, p event.Position, st jetstream.StreamState) (uint64, error) {
	switch p.Kind {
	case event.AtEnd:
		return st.LastSeq, nil
	case event.AfterPosition:
		return parse(p.ID)
	case event.AtTime:
		if p.Time.After(st.LastTime) || st.Msgs == 0 {
			return st.LastSeq, nil
		}
		if !p.Time.After(st.FirstTime) {
			return st.FirstSeq - 1, nil
		}
		c, err := d.open(ctx, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &p.Time})
		if err != nil {
			return 0, err
		}
		defer c.close(ctx)
		err = d.whole(ctx, nil, st.LastSeq, func() (uint64, error) {
			for n := 1; ; n = 256 {
				if err := c.fill(ctx, n, 0); err != nil {
					return 0, err
				}
				if c.lost() {
					return 0, errLost
				}
				if len(c.buffer) == 0 {
					return st.LastSeq - 1, nil
				}
				// A server that is behind begins where it is: maybe many records before.
				c.buffer = slices.DeleteFunc(c.buffer, func(m message) bool { return m.stored.Before(p.Time) })
				if len(c.buffer) > 0 {
					return st.LastSeq, nil
				}
			}
		})
		if err != nil || len(c.buffer) == 0 {
			return st.LastSeq, err
		}
		return c.buffer[0].seq - 1, nil
	}
	return st.FirstSeq - 1, nil
}

func (d *driver) Read(ctx context.Context, q event.ReadRequest) (event.Page, error) {
	var page event.Page
	if after, err := parse(q.From.ID); err == nil && q.From.Kind == event.AfterPosition && !q.Reverse && q.Max > 0 {
		if c := d.reuse(after); c != nil { // a reader that goes on
			if !c.more || d.filters(q.Filter.Types) == nil {
				return d.forward(ctx, q, c, page)
			}
			d.keep(ctx, c)
		}
	}
	st, err := d.state(ctx)
	if err != nil {
		return page, err
	}
	after, err := d.locate(ctx, q.From, st)
	if err != nil {
		return page, err
	}
	if q.Reverse {
		return d.back(ctx, q, st, after)
	}
	if q.From.Kind == event.AfterPosition && after > st.LastSeq { // of a stream that was deleted, or has lost its end
		after, page.Missed = st.LastSeq, 1
	}
	if after+1 < st.FirstSeq {
		if q.From.Kind == event.AfterPosition && after > 0 {
			page.Missed = int64(st.FirstSeq - 1 - after)
		}
		after = st.FirstSeq - 1
	}
	page.Next = format(after)
	if q.Max == 0 || after >= st.LastSeq {
		return page, nil
	}
	if looksUp(q) {
		p, ok, err := d.find(ctx, q, after, page)
		if ok || err != nil {
			return p, err
		}
	}
	if filters := d.subjects(q, after+1, st.LastSeq); filters != nil {
		return d.selected(ctx, q, filters, st, page, after)
	}
	c, err := d.from(ctx, after)
	if err != nil {
		return page, err
	}
	return d.forward(ctx, q, c, page)
}

// forward reads on with a cursor, and keeps it for the next time.
//
// The server sends a message once and thinks no more of it, so one that a
// broken connection has lost looks like one that was removed. What a cursor skips
// is believed when the cursor is new and these are its first messages.
func (d *driver) forward(ctx context.Context, q event.ReadRequest, c *cursor, page event.Page) (event.Page, error) {
	first := c.fills == 0
	var err error
	if len(c.buffer) < q.Max {
		err = c.catchUp(ctx, q.Max)
	}
	lost := c.lost()
	if err == nil && lost && c.again == oftenLost {
		err = errLost
	}
	if !first && forgotten(err) || err == nil && (!first && c.skips(0) || lost) {
		c.close(ctx)
		next, err := d.from(ctx, c.after)
		if err != nil {
			return event.Page{}, err
		}
		next.again = c.again
		if lost {
			next.again++
		}
		return d.forward(ctx, q, next, page)
	}
	if err != nil {
		c.close(ctx)
		return event.Page{}, err
	}
	n := min(q.Max, len(c.buffer))
	for i, m := range c.buffer[:n] {
		if i > 0 && c.skips(i) {
			n = i // the next one finds out
			break
		}
		if c.after > 0 && m.seq > c.after+1 {
			page.Missed += int64(m.seq - c.after - 1)
		}
		c.after = m.seq
		if m.r != nil && q.Filter.Match(m.r) {
			page.Records = append(page.Records, m.r)
		}
	}
	c.buffer = slices.Clone(c.buffer[n:])
	page.Next, page.More = format(c.after), n == q.Max || len(c.buffer) > 0 || c.left > 0
	c.more, c.again = page.More, 0
	d.keep(ctx, c)
	return page, nil
}

// forgotten reports whether an error says that the server has no such consumer any more:
// it was restarted, or the reader was away for long.
func forgotten(err error) bool {
	return errors.Is(err, gonats.ErrNoResponders) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDeleted)
}

// back reads a window before a place, and turns it round.
func (d *driver) back(ctx context.Context, q event.ReadRequest, st jetstream.StreamState, after uint64) (event.Page, error) {
	end := st.LastSeq + 1 // before this
	switch q.From.Kind {
	case event.AfterPosition:
		end = min(end, after)
	case event.AtTime:
		end = min(end, after+1)
	}
	if end <= st.FirstSeq {
		return event.Page{Next: format(end)}, nil
	}
	if looksUp(q) {
		p, ok, err := d.find(ctx, q, end, event.Page{})
		if ok || err != nil {
			return p, err
		}
	}
	if filters := d.subjects(q, st.FirstSeq, end-1); filters != nil {
		return d.selectedBack(ctx, q, filters, st, end)
	}
	begin := max(st.FirstSeq, end-min(end, uint64(q.Max)))
	for range oftenLost {
		page, err := d.window(ctx, q, st, begin, end)
		if !errors.Is(err, errLost) {
			return page, err
		}
	}
	return event.Page{}, errLost
}

// window reads backward what is between two places.
func (d *driver) window(ctx context.Context, q event.ReadRequest, st jetstream.StreamState, begin, end uint64) (event.Page, error) {
	c, err := d.from(ctx, begin-1)
	if err != nil {
		return event.Page{}, err
	}
	defer c.close(ctx)
	err = d.whole(ctx, nil, end-1, func() (uint64, error) {
		for n := int(end-begin) - len(c.buffer); n > 0; n = int(end-begin) - len(c.buffer) {
			if err := c.fill(ctx, n, 0); err != nil {
				return 0, err
			}
			if c.silent || c.left == 0 || c.newest() >= end-1 {
				break
			}
		}
		if c.silent && c.newest() < end-1 {
			next, err := d.beyond(ctx, c.newest())
			if err != nil {
				return 0, err
			}
			c.gap = c.gap || next > 0 && next < end
		}
		if c.gap {
			return 0, errLost
		}
		return c.newest(), nil
	})
	if err != nil {
		return event.Page{}, err
	}
	page := event.Page{Next: format(begin), More: begin > st.FirstSeq}
	for _, m := range slices.Backward(c.buffer) {
		if m.seq < end && m.r != nil && q.Filter.Match(m.r) {
			page.Records = append(page.Records, m.r)
		}
	}
	return page, nil
}

func (d *driver) Wait(ctx context.Context, after string) error {
	n, err := parse(after)
	if err != nil {
		return err
	}
	c := d.reuse(n)
	if c == nil {
		c, err = d.from(ctx, n)
		if err != nil {
			return err
		}
	}
	defer d.keep(context.WithoutCancel(ctx), c)
	for len(c.buffer) == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.fill(ctx, 1, waitFor); err != nil {
			c.broken = true
			return err
		}
		if c.lost() { // whoever reads finds out whether there is something
			c.broken = true
			return nil
		}
	}
	return nil
}

func (d *driver) Behind(ctx context.Context, after string) (int64, error) {
	n, err := parse(after)
	if err != nil {
		return 0, err
	}
	st, err := d.state(ctx)
	if err != nil {
		return 0, err
	}
	return max(int64(st.LastSeq)-int64(max(n, st.FirstSeq-1)), 0), nil
}

// waitFor is how long the server holds one request.
const waitFor = 300 * time.Millisecond
