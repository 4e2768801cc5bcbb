package outbox_test

import (
	"context"
	dbsql "database/sql"
	"fmt"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/outbox"
	_ "modernc.org/sqlite"
)

func ExampleOutbox() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, _ := dbsql.Open("sqlite", ":memory:")
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection would have a memory of its own
	db.Exec("CREATE TABLE orders (id TEXT, paid BOOLEAN)")

	stream, _ := event.New()
	defer stream.Close(context.Background())
	box, err := outbox.Open(ctx, db, outbox.SQLite)
	if err != nil {
		fmt.Println(err)
		return
	}
	relayed := make(chan error)
	go func() { relayed <- box.Relay(ctx, stream) }()

	published := make(chan string)
	stream.Subscribe(ctx, func(_ context.Context, r *event.Record) error {
		published <- r.Type + " " + r.Subject
		return nil
	})

	tx, _ := db.BeginTx(ctx, nil)
	tx.ExecContext(ctx, "INSERT INTO orders VALUES ('42', true)")
	box.Publish(ctx, tx, &event.Record{Type: "order.paid", Subject: "order/42"})
	tx.Commit()
	box.Poke()

	fmt.Println(<-published)
	cancel()
	fmt.Println(<-relayed)
	// Output:
	// order.paid order/42
	// context canceled
}
