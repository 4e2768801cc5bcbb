package memcached_test

import (
	"fmt"
	"log"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/memcached"
)

func ExampleBackend() {
	// WithLazy lets New succeed before the server is there.
	store, err := kv.New(memcached.Backend("127.0.0.1:11211"), kv.WithNamespace("shop"), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	f := store.Features()
	fmt.Println("shared:", f.Shared, "list:", f.List, "watch:", f.Watch)
	// Output: shared: true list: false watch: false
}

func ExampleWithClient() {
	client := memcache.New("127.0.0.1:11211")
	defer client.Close() // Close of the store leaves it open
	store, err := kv.New(memcached.WithClient(client), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}
