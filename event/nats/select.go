package nats

import (
	"context"
	"slices"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/nats-io/nats.go/jetstream"
)

// The subjects of a stream carry the types, so the server picks out the records of
// the types that a query asks for. Each page has a consumer of its own, whose
// number of pending messages says how much there is to come: what a consumer was
// once sent it does not send again, so nothing less is taken for all of it.

// subjects returns the filter of a query that leaves more than a page behind, or nil:
// then reading it all costs no more.
func (d *driver) subjects(q event.ReadRequest, first, last uint64) []string {
	if q.Max == 0 || q.Filter.ID != "" || last < first || last-first < uint64(q.Max) {
		return nil
	}
	return d.filters(q.Filter.Types)
}

// selected reads forward what is after a sequence.
func (d *driver) selected(ctx context.Context, q event.ReadRequest, filters []string, st jetstream.StreamState, page event.Page, after uint64) (out event.Page, err error) {
	err = d.whole(ctx, filters, st.LastSeq, func() (uint64, error) {
		var newest uint64
		out, newest, err = d.selectedNow(ctx, q, filters, st, page, after)
		if out.More {
			newest = st.LastSeq
		}
		return newest, err
	})
	return out, err
}

// selectedNow reads what the server has that reads, and returns the newest number of it.
func (d *driver) selectedNow(ctx context.Context, q event.ReadRequest, filters []string, st jetstream.StreamState, page event.Page, after uint64) (event.Page, uint64, error) {
	c, pending, err := d.filtered(ctx, filters, after+1)
	if err != nil {
		return page, 0, err
	}
	defer c.close(ctx)
	n := min(pending, uint64(q.Max))
	if err := c.exactly(ctx, n); err != nil {
		return event.Page{}, 0, err
	}
	for _, m := range c.buffer {
		if m.seq <= after {
			continue // a server that is behind begins where it is
		}
		after = m.seq
		if m.r != nil && q.Filter.Match(m.r) {
			page.Records = append(page.Records, m.r)
		}
	}
	newest := after
	page.More = pending > n
	if !page.More {
		after = max(after, st.LastSeq)
	}
	page.Next = format(after)
	return page, newest, nil
}

// selectedBack reads backward what is before a sequence: it looks for a place with
// about a page between there and the end.
func (d *driver) selectedBack(ctx context.Context, q event.ReadRequest, filters []string, st jetstream.StreamState, end uint64) (out event.Page, err error) {
	err = d.whole(ctx, filters, end-1, func() (uint64, error) {
		var newest uint64
		out, newest, err = d.selectedBackNow(ctx, q, filters, st, end)
		return newest, err
	})
	return out, err
}

func (d *driver) selectedBackNow(ctx context.Context, q event.ReadRequest, filters []string, st jetstream.StreamState, end uint64) (event.Page, uint64, error) {
	count := func(from uint64) (uint64, error) {
		c, pending, err := d.filtered(ctx, filters, from)
		if err != nil {
			return 0, err
		}
		c.close(ctx)
		return pending, nil
	}
	most := uint64(q.Max)
	above, err := count(end) // also what is published meanwhile
	if err != nil {
		return event.Page{}, 0, err
	}
	begin, beyond, between := end, end, uint64(0) // beyond: a place with too few
	for size := most; between < (most+3)/4 && begin > st.FirstSeq; size *= 4 {
		beyond, begin = begin, end-min(size, end-st.FirstSeq)
		n, err := count(begin)
		if err != nil {
			return event.Page{}, 0, err
		}
		between = n - min(n, above)
	}
	for between > 2*most && beyond-begin > 1 {
		middle := begin + (beyond-begin)/2
		n, err := count(middle)
		if err != nil {
			return event.Page{}, 0, err
		}
		n -= min(n, above)
		if n < most {
			beyond = middle
		} else {
			begin, between = middle, n
		}
	}
	c, pending, err := d.filtered(ctx, filters, begin)
	if err != nil {
		return event.Page{}, 0, err
	}
	defer c.close(ctx)
	if err := c.exactly(ctx, min(pending, between)); err != nil {
		return event.Page{}, 0, err
	}
	newest := begin - 1
	page := event.Page{Next: format(begin), More: begin > st.FirstSeq}
	for _, m := range slices.Backward(c.buffer) {
		if m.seq >= end {
			continue
		}
		newest = max(newest, m.seq)
		if len(page.Records) == q.Max {
			page.More = true
			break
		}
		page.Next = format(m.seq)
		if m.r != nil && q.Filter.Match(m.r) {
			page.Records = append(page.Records, m.r)
		}
	}
	if len(page.Records) < q.Max {
		page.Next = format(begin)
	}
	return page, newest, nil
}

// filtered opens a cursor at a sequence, and says how many messages it will get.
func (d *driver) filtered(ctx context.Context, filters []string, from uint64) (*cursor, uint64, error) {
	c, err := d.open(ctx, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, FilterSubjects: filters})
	if err != nil {
		return nil, 0, err
	}
	return c, c.c.CachedInfo().NumPending, nil
}

// exactly fills the buffer with the next n messages. One that was lost on the way
// leaves a gap in the consumer's own numbers.
func (c *cursor) exactly(ctx context.Context, n uint64) error {
	if n == 0 {
		return nil
	}
	if err := c.fill(ctx, int(n), answerWithin); err != nil {
		return err
	}
	for i, m := range c.buffer {
		if m.order != uint64(i+1) {
			return fault.Markf(fault.Unavailable, "a message was lost on the way")
		}
	}
	if uint64(len(c.buffer)) < n {
		return fault.Markf(fault.Unavailable, "%d of %d messages came", len(c.buffer), n)
	}
	return nil
}
