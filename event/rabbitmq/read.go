package rabbitmq

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// page reads what a stream has at a place, without waiting: about limit messages, and
// all of the chunk that the last of them is in.
//
// It cancels the consumer as soon as it has begun. Whatever the server sends to it by
// then is all that there is, up to the limit; but a server that is busy may not have come
// to read yet, so a page is empty only if look is sure of it.
func (d *driver) page(ctx context.Context, stream string, at any, limit int) ([]amqp.Delivery, error) {
	all, err := d.look(ctx, stream, at, limit, false)
	if err != nil || len(all) > 0 {
		return all, err
	}
	return d.look(ctx, stream, at, limit, true)
}

// nowhere is an offset that no stream comes to.
const nowhere = int64(1) << 62

// look is one attempt at a page. The process that writes a stream tells a consumer's
// channel when it may read. To be sure that it has, look has the channel ask that process
// for something else, which it answers later: it begins a second consumer, which is sent
// nothing.
func (d *driver) look(ctx context.Context, stream string, at any, limit int, sure bool) ([]amqp.Delivery, error) {
	ch, err := d.reading.Spare(ctx)
	if err != nil {
		return nil, rabbitmq.ReadError(err)
	}
	got := make(chan []amqp.Delivery, 1)
	err = ch.Do(ctx, func() error {
		if err := ch.Qos(limit, 0, false); err != nil {
			return err
		}
		deliveries, err := ch.Consume(stream, "page", false, false, false, false, amqp.Table{"x-stream-offset": at})
		if err != nil {
			return err
		}
		if sure {
			if _, err := ch.Consume(stream, "nothing", false, false, false, false, amqp.Table{"x-stream-offset": nowhere}); err != nil {
				return err
			}
			if err := ch.Cancel("nothing", false); err != nil {
				return err
			}
		}
		if err := ch.Cancel("page", false); err != nil {
			return err
		}
		var all []amqp.Delivery
		for m := range deliveries {
			all = append(all, m)
		}
		got <- all
		if len(all) == 0 {
			return nil
		}
		return ch.Ack(all[len(all)-1].DeliveryTag, true)
	})
	if err != nil {
		ch.Drop()
		return nil, rabbitmq.ReadError(err)
	}
	all := <-got
	for i := 1; i < len(all); i++ {
		if all[i].DeliveryTag != all[i-1].DeliveryTag+1 || position(&all[i]) <= position(&all[i-1]) {
			ch.Break()
			return nil, fault.Markf(fault.Unavailable, "the connection has lost a message")
		}
	}
	ch.PutBack()
	return all, nil
}

// newest returns the last message of a stream, or nil if it is empty. The server begins
// with the last chunk, also with one that most replicas do not have yet, and so sends
// nothing of a stream that has something.
func (d *driver) newest(ctx context.Context, stream string) (*amqp.Delivery, error) {
	for began := time.Now(); ; {
		last, err := d.page(ctx, stream, "last", d.size.limit(maxPage)) // RabbitMQ 4 sends no more of a chunk
		if err != nil {
			return nil, err
		}
		if len(last) > 0 {
			return &last[len(last)-1], nil
		}
		first, err := d.look(ctx, stream, "first", 1, true)
		if err != nil || len(first) == 0 {
			return nil, err
		}
		if time.Since(began) > settle {
			return nil, fault.Markf(fault.Unavailable, "the end of the stream is not settled")
		}
		if err := backoff.Sleep(ctx, settle/200); err != nil {
			return nil, err
		}
	}
}

// records is page of the stream itself. It reads no more than some megabytes at once.
func (d *driver) records(ctx context.Context, at any, limit int) ([]amqp.Delivery, error) {
	return d.read(ctx, at, d.size.limit(limit))
}

// read is page of the stream itself, which is made if it isn't there.
func (d *driver) read(ctx context.Context, at any, limit int) (all []amqp.Delivery, err error) {
	err = d.making(ctx, func() error {
		all, err = d.page(ctx, d.names.stream, at, limit)
		return err
	})
	d.size.note(all)
	return all, err
}

// making reads the stream, and makes it and reads again if it isn't there.
func (d *driver) making(ctx context.Context, read func() error) error {
	err := read()
	if !rabbitmq.Missing(err) {
		return err
	}
	if err := d.declare(ctx, true); err != nil {
		return err
	}
	return read()
}

// beyond returns about limit records after a position. It begins with the record that
// is there: a page without it, and with nothing after it, is of a stream that was deleted
// and made again, and is shorter.
func (d *driver) beyond(ctx context.Context, after int64, limit int) (all []amqp.Delivery, shorter bool, err error) {
	if after < 0 {
		all, err = d.read(ctx, 0, limit)
		return all, false, err
	}
	all, err = d.read(ctx, after, limit+1)
	if err == nil && len(all) > 0 && position(&all[0]) == after {
		return all[1:], false, nil
	}
	return all, len(all) == 0, err
}

// bodies is how large bodies were, smoothed.
type bodies struct{ mean atomic.Int64 }

// pageBytes is about how many bytes one page has.
const pageBytes = 8 << 20

func (b *bodies) limit(n int) int {
	return max(1, min(n, 1<<15, int(pageBytes/max(b.mean.Load(), 256))))
}

func (b *bodies) note(all []amqp.Delivery) {
	if len(all) == 0 {
		return
	}
	sum := 0
	for i := range all {
		sum += len(all[i].Body)
	}
	b.mean.Store((b.mean.Load() + int64(sum/len(all))) / 2)
}

// end returns where the newest record is, or -1.
func (d *driver) end(ctx context.Context) (int64, error) {
	at := int64(-1)
	err := d.making(ctx, func() error {
		last, err := d.newest(ctx, d.names.stream)
		if err == nil && last != nil {
			at = position(last)
		}
		return err
	})
	return at, err
}

// locate returns the place that reading begins after; -1 is before the first record.
func (d *driver) locate(ctx context.Context, p event.Position) (int64, error) {
	switch p.Kind {
	case event.AtEnd:
		return d.end(ctx)
	case event.AfterPosition:
		return parse(p.ID)
	case event.AtTime:
		return d.since(ctx, p.Time)
	}
	return -1, nil
}

// since finds the first record that was published at t or later. The server knows that
// of chunks, and is asked in seconds: within one second, the publishers' clocks
// decide.
func (d *driver) since(ctx context.Context, t time.Time) (int64, error) {
	second := t.Truncate(time.Second)
	first, err := d.records(ctx, second, 1)
	if err != nil {
		return 0, err
	}
	if len(first) == 0 {
		return d.end(ctx)
	}
	after := position(&first[0]) - 1
	if t.Equal(second) {
		return after, nil
	}
	next, err := d.records(ctx, second.Add(time.Second), 1)
	if err != nil {
		return 0, err
	}
	for {
		all, err := d.records(ctx, after+1, 512)
		if err != nil {
			return 0, err
		}
		if len(all) == 0 {
			return after, nil
		}
		for i := range all {
			if len(next) > 0 && position(&all[i]) >= position(&next[0]) || !publishedAt(&all[i]).Before(t) {
				return position(&all[i]) - 1, nil
			}
			after = position(&all[i])
		}
	}
}

func (d *driver) Read(ctx context.Context, q event.ReadRequest) (event.Page, error) {
	var page event.Page
	after, err := d.locate(ctx, q.From)
	if err != nil {
		return page, err
	}
	if q.Reverse {
		return d.back(ctx, q, after)
	}
	page.Next = format(after)
	if q.Max == 0 {
		return page, nil
	}
	b, again := d.shelf.take(after)
	all, limit := b.rest, 0
	if len(all) == 0 {
		limit = d.size.limit(max(q.Max, b.size))
		var shorter bool
		all, shorter, err = d.beyond(ctx, after, limit)
		if err != nil {
			return page, err
		}
		if shorter {
			end, err := d.end(ctx)
			if err == nil && after > end {
				page.Next, page.Missed = format(end), 1
			}
			return page, err
		}
		if len(all) == 0 {
			return page, nil
		}
	}
	if first := position(&all[0]); q.From.Kind == event.AfterPosition && first > after+1 {
		page.Missed = first - after - 1
	}
	page.More = len(all) >= limit
	next := book{size: q.Max}
	if again {
		next.size = min(4*max(b.size, q.Max), maxPage)
	}
	if len(all) > q.Max {
		all, next.rest = all[:q.Max], all[q.Max:]
		page.More = true
	}
	next.after = position(&all[len(all)-1])
	d.shelf.put(next)
	for i := range all {
		m := &all[i]
		page.Next = format(position(m))
		if r, err := record(m); err == nil && q.Filter.Match(r) {
			page.Records = append(page.Records, r)
		}
	}
	return page, nil
}

// back reads a window before a place, and turns it round.
func (d *driver) back(ctx context.Context, q event.ReadRequest, after int64) (event.Page, error) {
	end := after // before this
	switch q.From.Kind {
	case event.AtTime:
		end++
	case event.AtEnd, event.AtBeginning:
		last, err := d.end(ctx)
		if err != nil {
			return event.Page{}, err
		}
		end = last + 1
	}
	page := event.Page{Next: format(end)}
	if end <= 0 || q.Max == 0 {
		return page, nil
	}
	begin := max(end-int64(d.size.limit(q.Max)), 0)
	for at := begin; at < end; {
		all, err := d.records(ctx, at, int(end-at))
		if err != nil {
			return page, err
		}
		if len(all) == 0 || position(&all[0]) >= end {
			break
		}
		if at == begin {
			first := position(&all[0])
			page.Next, page.More = format(first), first == begin && begin > 0
		}
		for i := range all {
			at = position(&all[i]) + 1
			if at > end {
				break
			}
			if r, err := record(&all[i]); err == nil && q.Filter.Match(r) {
				page.Records = append(page.Records, r)
			}
		}
	}
	slices.Reverse(page.Records)
	return page, nil
}

// waitFor is how long a Wait lasts at most.
const waitFor = 20 * time.Second

func (d *driver) Wait(ctx context.Context, after string) error {
	n, err := parse(after)
	if err != nil {
		return err
	}
	if err := d.declare(ctx, false); err != nil {
		return err
	}
	ch, err := d.reading.Channel(ctx)
	if err != nil {
		return rabbitmq.ReadError(err)
	}
	defer ch.Drop()
	deliveries, err := ch.Begin(ctx, d.names.stream, "wait", 1, amqp.Table{"x-stream-offset": n + 1})
	if rabbitmq.Missing(err) {
		return d.declare(ctx, true)
	}
	if err != nil {
		return rabbitmq.ReadError(err)
	}
	timer := time.NewTimer(waitFor)
	defer timer.Stop()
	select {
	case _, ok := <-deliveries:
		if !ok {
			return fault.Markf(fault.Unavailable, "the channel was closed")
		}
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *driver) Behind(ctx context.Context, after string) (int64, error) {
	n, err := parse(after)
	if err != nil {
		return 0, err
	}
	end, err := d.end(ctx)
	return max(end-n, 0), err
}
