package event_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/wrapper"
	wevent "github.com/micro/go-platform/wrapper/event"
)

func ExampleStream() {
	ctx := context.Background()
	stream, _ := event.New()
	defer stream.Close(ctx)
	w, _ := wrapper.New(wrapper.WithName("billing"))
	orders := wevent.Stream(w, stream)

	done := make(chan struct{})
	orders.Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
		call, _ := wrapper.FromContext(ctx)
		fmt.Println(call.Action, call.Method, call.RequestID)
		close(done)
		return nil
	}, event.Types("order.*"))
	orders.Publish(ctx, &event.Record{Type: "order.created", Metadata: map[string]string{"x-request-id": "abc"}})
	<-done
	fmt.Println(w.Close(ctx)) // the subscription too
	// Output:
	// consume order.created abc
	// <nil>
}

func ExampleHandler() {
	w, _ := wrapper.New(wrapper.WithName("billing"))
	defer w.Close(context.Background())
	h := wevent.Handler(w, func(ctx context.Context, r *event.Record) error {
		call, _ := wrapper.FromContext(ctx)
		fmt.Println(call.Method, call.Resource)
		return nil
	})
	fmt.Println(h(context.Background(), &event.Record{Type: "order.created", Subject: "order/42"}))
	// Output:
	// order.created order/42
	// <nil>
}
