package inbox_test

import (
	"context"
	dbsql "database/sql"
	"fmt"

	"github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/inbox"
)

func ExampleNew() {
	ctx := context.Background()
	e, err := sql.Open("sqlite::memory:") // or sql.FromDB of your own *sql.DB
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	box, err := inbox.New(ctx, e, "billing")
	if err != nil {
		fmt.Println(err)
		return
	}
	handle := box.Handler(func(ctx context.Context, tx *dbsql.Tx, r *event.Record) error {
		fmt.Println("charged for", r.Subject) // write with tx
		return nil
	})
	order := &event.Record{ID: "1", Type: "order.created", Subject: "order/42"}
	fmt.Println(handle(ctx, order), handle(ctx, order)) // as a group may deliver it
	// Output:
	// charged for order/42
	// <nil> <nil>
}

func ExampleInbox_Handler() {
	ctx := context.Background()
	e, err := sql.Open("sqlite::memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	box, err := inbox.New(ctx, e, "billing")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := event.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(ctx)
	done := make(chan string, 1)
	s.Subscribe(ctx, box.Handler(func(ctx context.Context, tx *dbsql.Tx, r *event.Record) error {
		done <- r.Subject
		return nil
	}), event.Group("billing"))
	s.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42"})
	fmt.Println(<-done)
	// Output: order/42
}
