package redis_test

import (
	"fmt"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/redis"
	goredis "github.com/redis/go-redis/v9"
)

func ExampleBackend() {
	// Lazily: this example runs without Redis.
	d, err := discovery.New(redis.Backend("rediss://10.0.0.1:6379/2"), discovery.WithNamespace("shop"), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	s, ok := d.Lookup("greeter")
	fmt.Println(s.State, ok)
	// Output: cold false
}

func ExampleWithClient() {
	client := goredis.NewClient(&goredis.Options{Addr: "10.0.0.1:6379"})
	d, err := discovery.New(redis.WithClient(client), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Close())
	fmt.Println(client.Close()) // still open until now
	// Output:
	// <nil>
	// <nil>
}
