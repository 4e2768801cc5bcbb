package redis_test

import (
	"fmt"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/redis"
	engine "github.com/micro/go-platform/engine/redis"
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

func ExampleOn() {
	e, err := engine.Open("10.0.0.1:6379") // for several packages
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := discovery.New(redis.On(e), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Close())
	fmt.Println(e.Close()) // still open until now
	// Output:
	// <nil>
	// <nil>
}
