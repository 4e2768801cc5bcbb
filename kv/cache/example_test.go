package cache_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
)

func ExampleNew() {
	ctx := context.Background()
	store, _ := kv.New() // usually one that is far away
	near, err := cache.New(store, cache.WithMaxAge(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer near.Close() // and store
	_, _ = near.Put(ctx, "k", []byte("v"))
	item, err := near.Get(ctx, "k") // for a second, Gets stay in this process
	fmt.Println(string(item.Value), err)
	// Output: v <nil>
}

func ExampleNewLoader() {
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	loader, err := cache.NewLoader(store, time.Minute, cache.WithStale(10*time.Second), cache.WithNegative(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer loader.Close()
	for range 2 {
		item, err := loader.GetOrLoad(ctx, "users/1", func(context.Context) ([]byte, error) {
			fmt.Println("asking the database")
			return []byte("Ada"), nil
		})
		fmt.Println(string(item.Value), err)
	}
	// Output:
	// asking the database
	// Ada <nil>
	// Ada <nil>
}
