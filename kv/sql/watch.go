package sql

import (
	"context"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// Watch reads the state, from 0, and follows the revisions behind the one that
// it knows. What it reports of a key is what is there when it looks, so nothing
// older comes after something newer.
func (d *driver) Watch(ctx context.Context, prefix string, from uint64, sink kvdriver.Sink) error {
	call, cancel := sql.Bound(ctx)
	defer cancel()
	if err := d.tables.Make(call); err != nil {
		return sql.Unanswered(ctx, err)
	}
	d.tail.Join()
	defer d.tail.Leave()
	now, err := d.ask(call)
	if err != nil {
		return sql.Unanswered(ctx, err)
	}
	at := int64(from)
	if from == 0 {
		for item, err := range d.List(ctx, prefix, "") {
			if err != nil {
				return sql.Unanswered(ctx, err)
			}
			sink.Put(item)
		}
		at = now.rev
		sink.Synced(uint64(at))
	}
	for {
		if now.cleaned > at || now.rev < at { // rows are missing, or all is another database's
			return kvdriver.ErrGap
		}
		if err := d.follow(ctx, prefix, at, now.rev, sink); err != nil {
			return sql.Unanswered(ctx, err)
		}
		at = now.rev
		sink.Synced(uint64(at))
		now, err = d.tail.Wait(ctx, func(now state, later bool) bool {
			return now.rev > at || now.rev < at && later // less: data were lost
		})
		if err != nil {
			return sql.Unanswered(ctx, err)
		}
	}
}

// follow reports what was written behind one revision, up to another.
func (d *driver) follow(ctx context.Context, prefix string, after, upTo int64, sink kvdriver.Sink) error {
	for full := after < upTo; full; {
		var err error
		full, err = d.page(ctx, "rev > ? AND rev <= ? AND k >= ? AND k < ? ORDER BY rev LIMIT 256", []any{after, upTo, []byte(prefix), endOf(prefix)},
			func(item kv.Item, dead bool) {
				after = int64(item.Revision)
				if dead {
					sink.Delete(item.Key)
				} else {
					sink.Put(item)
				}
			})
		if err != nil {
			return err
		}
	}
	return nil
}
