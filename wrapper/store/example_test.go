package store_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/store"
)

func ExampleKV() {
	ctx := context.Background()
	mt, _ := metrics.New()
	w, _ := wrapper.New(wrapper.WithName("shop"), wrapper.WithMetrics(mt))
	defer w.Close(ctx)
	inner, _ := kv.New()
	sessions := store.KV(w, inner, "memory")
	defer sessions.Close()

	sessions.Put(ctx, "ann", []byte("1"))
	sessions.Get(ctx, "ann")
	for _, s := range mt.Snapshot().Match("db.client.operation.duration") {
		fmt.Println(s.Values[1], s.Count)
	}
	// Output:
	// get 1
	// put 1
}

func ExampleDB() {
	ctx := context.Background()
	mt, _ := metrics.New()
	w, _ := wrapper.New(wrapper.WithName("shop"), wrapper.WithMetrics(mt))
	defer w.Close(ctx)
	inner, _ := db.New()
	d := store.DB(w, inner, "memory")
	defer d.Close()

	orders, _ := d.Table(ctx, "orders")
	orders.Create(ctx, &db.Record{})
	created := mt.Snapshot().Match("db.client.operation.duration", metrics.Label{Key: "db.operation.name", Value: "create"})
	fmt.Println(created[0].Values[2], created[0].Count)
	// Output: orders 1
}

func ExampleSync() {
	ctx := context.Background()
	mt, _ := metrics.New()
	w, _ := wrapper.New(wrapper.WithName("shop"), wrapper.WithMetrics(mt))
	defer w.Close(ctx)
	inner, _ := sync.New()
	locks := store.Sync(w, inner, "memory")
	defer locks.Close()

	lock, _ := locks.Lock(ctx, "report")
	defer lock.Unlock(ctx)
	fmt.Println(mt.Snapshot().Match("platform.lock.acquire.duration")[0].Count)
	// Output: 1
}
