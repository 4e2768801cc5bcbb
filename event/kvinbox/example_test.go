package kvinbox_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/kvinbox"
	"github.com/micro/go-platform/kv"
)

func ExampleNew() {
	store, err := kv.New() // or kv.New(redis.Backend("127.0.0.1:6379"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	box, err := kvinbox.New(store, "mail")
	fmt.Println(box != nil, err)
	// Output: true <nil>
}

func ExampleInbox_Handler() {
	ctx := context.Background()
	store, err := kv.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	box, err := kvinbox.New(store, "mail")
	if err != nil {
		fmt.Println(err)
		return
	}
	handle := box.Handler(func(ctx context.Context, r *event.Record) error {
		fmt.Println("mail for", r.Subject)
		return nil
	})
	order := &event.Record{ID: "1", Type: "order.created", Subject: "order/42"}
	fmt.Println(handle(ctx, order), handle(ctx, order)) // as a group may deliver it
	// Output:
	// mail for order/42
	// <nil> <nil>
}
