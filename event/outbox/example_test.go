package outbox_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/outbox"
)

func ExampleNew() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := sql.Open("sqlite::memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	db := e.DB() // for your own statements; sql.FromDB takes a *sql.DB that you have
	db.Exec("CREATE TABLE orders (id TEXT, paid BOOLEAN)")

	stream, _ := event.New()
	defer stream.Close(context.Background())
	box, err := outbox.New(ctx, e)
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
