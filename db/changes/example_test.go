package changes_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/changes"
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/outbox"
)

func ExampleToOutbox() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := enginesql.Open("sqlite::memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()

	stream, _ := event.New()
	defer stream.Close(context.Background())
	box, _ := outbox.New(ctx, e)
	relayed := make(chan error)
	go func() { relayed <- box.Relay(ctx, stream) }()
	seen := make(chan string, 3)
	stream.Subscribe(ctx, func(_ context.Context, r *event.Record) error {
		c, err := changes.Parse(r)
		if err != nil {
			return event.Terminate(err)
		}
		seen <- fmt.Sprintf("%s %s %d: %s", r.Type, c.ID, c.Version, c.Record.Data)
		return nil
	}, event.Types("db.orders.*"), event.Ordered(event.BySubject))

	d, err := db.New(sql.On(e), changes.ToOutbox(box))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	orders, _ := d.Table(ctx, "orders")
	r := &db.Record{ID: "42", Data: []byte("new")}
	orders.Create(ctx, r)
	d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
		orders, _ := tx.Table(ctx, "orders")
		orders.Delete(ctx, "42")
		return fmt.Errorf("no") // nothing has happened
	})
	r.Data = []byte("paid")
	orders.Update(ctx, r)
	orders.Delete(ctx, "42")

	fmt.Println(<-seen)
	fmt.Println(<-seen)
	fmt.Println(<-seen)
	cancel()
	<-relayed
	// Output:
	// db.orders.created 42 1: new
	// db.orders.updated 42 2: paid
	// db.orders.deleted 42 2: paid
}

func ExampleToStream() {
	ctx := context.Background()
	stream, _ := event.New()
	defer stream.Close(ctx)
	d, _ := db.New(changes.ToStream(stream, changes.WithoutRecords()))
	defer d.Close()

	orders, _ := d.Table(ctx, "orders")
	orders.Create(ctx, &db.Record{ID: "42"})
	for r := range stream.Query(ctx, event.Types("db.**")) {
		fmt.Println(r.Type, string(r.Data))
	}
	// Output: db.orders.created {"table":"orders","id":"42","version":1}
}
