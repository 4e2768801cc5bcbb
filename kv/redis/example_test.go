package redis_test

import (
	"fmt"
	"log"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
)

func ExampleBackend() {
	// WithLazy lets New succeed before the server is there.
	store, err := kv.New(redis.Backend("127.0.0.1:6379"), kv.WithNamespace("shop"), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	f := store.Features()
	fmt.Println("shared:", f.Shared, "list:", f.List, "watch:", f.Watch)
	// Output: shared: true list: true watch: true
}

// One engine, over one pool of connections, for as many packages as a program uses.
func ExampleOn() {
	e, err := engine.Open("127.0.0.1:6379", engine.WithMaxConns(50))
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close() // Close of the store leaves it open
	store, err := kv.New(redis.On(e), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}
