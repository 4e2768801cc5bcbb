package kv_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// quiet is a backend whose watch tells of no item that expires.
type quiet struct {
	kv.Driver
	lives []time.Duration
	born  time.Time
}

func (q *quiet) Features() kv.Features { return kv.Features{Watch: true, Shared: true} }
func (q *quiet) Ping(context.Context) error {
	q.born = time.Now()
	return nil
}
func (q *quiet) Close() error { return nil }

func (q *quiet) item(i int) kv.Item {
	return kv.Item{Key: fmt.Sprint(i), Value: []byte("v"), Revision: 1, Expires: q.born.Add(q.lives[i])}
}

func (q *quiet) Get(_ context.Context, key string) (kv.Item, error) {
	var i int
	fmt.Sscan(key, &i)
	if item := q.item(i); time.Now().Before(item.Expires) {
		return item, nil
	}
	return kv.Item{}, kv.ErrNotFound
}

func (q *quiet) Watch(ctx context.Context, _ string, _ uint64, sink kvdriver.Sink) error {
	for i := range q.lives {
		sink.Put(q.item(i))
	}
	sink.Synced(0)
	<-ctx.Done()
	return ctx.Err()
}

// TestEndsAreToldInTheirOrder, whatever the order of the items.
func TestEndsAreToldInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{lives: []time.Duration{5 * time.Hour, time.Hour, 4 * time.Hour, 2 * time.Hour, 6 * time.Hour, 3 * time.Hour, 30 * time.Minute}}
		store := opener(kv.WithDriver("quiet", func(context.Context) (kv.Driver, error) { return q, nil }))(t)
		defer store.Close()
		gone := 0
		for e, err := range store.Watch(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != kv.EventDelete {
				continue
			}
			var i int
			fmt.Sscan(e.Item.Key, &i)
			if late := time.Since(q.born) - q.lives[i]; late < 0 || late > time.Second {
				t.Errorf("item %d was told to be gone %v after its end", i, late)
			}
			if gone++; gone == len(q.lives) {
				return
			}
		}
	})
}
