package redis_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/discovery"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/kv"
	kvredis "github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

func ExampleOpen() {
	e, err := redis.Open("rediss://app:secret@10.0.0.1:6379/2", redis.WithMaxConns(50))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it

	store, err := kv.New(kvredis.On(e), kv.WithLazy()) // WithLazy: this example runs without Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	registry, err := discovery.New(discoveryredis.On(e), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()
	fmt.Println(store.Features().Backend)
	// Output: redis
}

func ExampleFromClient() {
	client := goredis.NewClient(&goredis.Options{Addr: "10.0.0.1:6379", MaxRetries: -1, ContextTimeoutEnabled: true})
	defer client.Close() // Close of the engine and of the store leave it open

	store, err := kv.New(kvredis.On(redis.FromClient(client)), kv.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Close())
	// Output: <nil>
}

// What the vendor's client can do is there without bringing one.
func ExampleWithClientOptions() {
	e, err := redis.Open("10.0.0.1:6379", redis.WithClientOptions(func(o *goredis.UniversalOptions) {
		o.ClientName = "orders"
		o.CredentialsProviderContext = func(context.Context) (user, password string, err error) {
			return "orders", "of today", nil
		}
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Close())
	// Output: <nil>
}
