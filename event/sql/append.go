package sql

import (
	"context"
	"slices"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
)

// entry is one call of Append that waits to be written.
type entry struct {
	records []*event.Record
	done    chan error
}

// shared is how many records publishers share a transaction for.
const shared = 1000

// Append writes, together with what others of this process want to write at
// the same time. Each call is written as a whole or not at all.
func (d *driver) Append(ctx context.Context, records []*event.Record) (int, error) {
	if err := d.tables(ctx); err != nil {
		return 0, err
	}
	if err := d.limits(records); err != nil {
		return 0, err
	}
	mine := &entry{records: records, done: make(chan error, 1)}
	written := func(err error) (int, error) {
		if err != nil {
			return 0, err
		}
		return len(records), nil
	}
	d.mu.Lock()
	d.queue = append(d.queue, mine)
	d.mu.Unlock()
	for {
		select {
		case err := <-mine.done:
			return written(err)
		case d.writer <- struct{}{}:
			batch := d.take()
			if len(batch) == 1 && batch[0] == mine {
				d.write(ctx, batch)
				<-d.writer
				return written(<-mine.done)
			}
			go func() { // others are written with it, and may wait longer than this caller
				bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
				defer cancel()
				d.write(bounded, batch)
				<-d.writer
			}()
		case <-ctx.Done():
			if d.leave(mine) {
				return 0, ctx.Err()
			}
			select {
			case err := <-mine.done:
				return written(err)
			default:
				return 0, fault.Mark(fault.UnknownOutcome, ctx.Err())
			}
		}
	}
}

// leave takes a call out of the queue, unless it is being written.
func (d *driver) leave(a *entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.queue, a)
	if i < 0 {
		return false
	}
	d.queue = slices.Delete(d.queue, i, i+1)
	return true
}

// take takes out of the queue what is written together. Only the writer calls it.
func (d *driver) take() (batch []*entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for len(d.queue) > 0 && (n == 0 || n+len(d.queue[0].records) <= shared) {
		n += len(d.queue[0].records)
		batch = append(batch, d.queue[0])
		d.queue = d.queue[1:]
	}
	return batch
}

// write writes a batch, all or nothing. Only the writer calls it.
func (d *driver) write(ctx context.Context, batch []*entry) {
	if len(batch) == 0 {
		return
	}
	var records []*event.Record
	for _, a := range batch {
		records = append(records, a.records...)
	}
	last, err := d.insert(ctx, records)
	if err == nil {
		d.tail.advance(last)
	}
	for _, a := range batch {
		a.done <- err
	}
}
