package nats_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/event"
	eventnats "github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/kv"
	kvnats "github.com/micro/go-platform/kv/nats"
	gonats "github.com/nats-io/nats.go"
)

func ExampleOpen() {
	e, err := nats.Open("nats://app:secret@127.0.0.1:1", nats.WithClientOptions(gonats.Name("orders")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it

	store, err := kv.New(kvnats.On(e), kv.WithLazy()) // WithLazy: this example runs without NATS
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	stream, err := event.New(eventnats.On(e), event.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Close(context.Background())
	fmt.Println(store.Features().Durable, stream.Features().Durable)
	// Output: true true
}

func ExampleFromClient() {
	c, err := gonats.Connect("nats://127.0.0.1:1", gonats.RetryOnFailedConnect(true))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close() // Close of the engine and of the store leave it open
	store, err := kv.New(kvnats.On(nats.FromClient(c)), kv.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Close(), c.IsClosed())
	// Output: <nil> false
}
