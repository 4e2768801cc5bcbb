package nats_test

import (
	"fmt"
	"log"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/nats"
	gonats "github.com/nats-io/nats.go"
)

func ExampleBackend() {
	// WithLazy lets New succeed before the server is there.
	store, err := kv.New(nats.Backend("127.0.0.1:4222", nats.WithBucket("shop")), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	f := store.Features()
	fmt.Println("shared:", f.Shared, "list:", f.List, "watch:", f.Watch)
	// Output: shared: true list: true watch: true
}

func ExampleWithConn() {
	c, err := gonats.Connect("nats://127.0.0.1:4222", gonats.RetryOnFailedConnect(true))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	store, err := kv.New(nats.WithConn(c), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close(), c.IsClosed())
	// Output: <nil> false
}
