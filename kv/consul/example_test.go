package consul_test

import (
	"fmt"
	"log"

	engine "github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/consul"
)

func ExampleBackend() {
	// WithLazy lets New succeed before the server is there.
	store, err := kv.New(consul.Backend("127.0.0.1:8500"), kv.WithNamespace("shop"), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	f := store.Features()
	fmt.Println("shared:", f.Shared, "list:", f.List, "watch:", f.Watch)
	// Output: shared: true list: true watch: true
}

func ExampleOn() {
	e, err := engine.Open("127.0.0.1:8500") // for several packages
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	store, err := kv.New(consul.On(e), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}
