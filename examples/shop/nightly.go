package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/kv"
	dsync "github.com/micro/go-platform/sync"
)

// Report is what the leader of the orders service writes every second, where a
// shop that sleeps does it at night.
type Report struct {
	Token  uint64           `json:"token"` // of the leadership under which it was written
	By     string           `json:"by"`
	Orders map[string]int64 `json:"orders"` // by status
}

// lead writes the report while this instance leads. The context ends with the
// leadership; a leader that is too slow to notice is refused by its token.
func (o *orders) lead(ctx context.Context, app *platform.App, id string) error {
	election, err := app.Sync().Leader("report", dsync.Owner(id))
	if err != nil {
		return err
	}
	return dsync.RunElected(ctx, election, func(ctx context.Context, token uint64) error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			err := o.report(ctx, cell{app.KV(), "report"}, token, id)
			if err != nil && ctx.Err() == nil {
				app.Logger("report").Warn("not written", "error", err.Error()) // again in a second
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

func (o *orders) report(ctx context.Context, to dsync.Cell, token uint64, id string) error {
	r := Report{token, id, map[string]int64{}}
	for _, status := range []string{"placed", "paid", "refused"} {
		n, err := o.orders.Count(ctx, db.Where(db.Equal("status", status)))
		if err != nil {
			return err
		}
		r.Orders[status] = n
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return dsync.WriteFenced(ctx, to, token, text)
}

// cell is a key as a place for fenced writes.
type cell struct {
	store kv.KV
	key   string
}

func (c cell) Load(ctx context.Context) ([]byte, uint64, error) {
	item, err := c.store.Get(ctx, c.key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, 0, nil
	}
	return item.Value, uint64(item.Revision), err
}

func (c cell) Store(ctx context.Context, value []byte, revision uint64) error {
	_, err := c.store.Put(ctx, c.key, value, kv.IfRevision(kv.Revision(revision)))
	return err
}
