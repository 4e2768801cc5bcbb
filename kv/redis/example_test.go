package redis_test

import (
	"context"
	"fmt"
	"log"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
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

func ExampleWithClient() {
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:6379", MaxRetries: -1})
	defer client.Close() // Close of the store leaves it open
	store, err := kv.New(redis.WithClient(client), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}

// What the client can do is there without bringing one.
func ExampleWithClientOptions() {
	store, err := kv.New(redis.Backend("127.0.0.1:6379",
		redis.WithClientOptions(func(o *goredis.UniversalOptions) {
			o.ClientName, o.PoolSize = "orders", 50
			o.CredentialsProviderContext = func(context.Context) (user, password string, err error) {
				return "orders", "of today", nil
			}
		})), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}
