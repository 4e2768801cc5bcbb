package redis_test

import (
	"fmt"

	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/redis"
)

func ExampleBackend() {
	s, err := dsync.New(redis.Backend("rediss://:secret@10.0.0.1:6380/2"), dsync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println("fair:", s.Features().Fair)

	_, err = dsync.New(redis.Backend("redis://:secret@10.0.0.1/x"))
	fmt.Println(err)
	// Output:
	// fair: false
	// sync/redis: new: invalid: address "redis://:xxxxx@10.0.0.1/x": database "x", want a number
}

func ExampleQuorum() {
	s, err := dsync.New(redis.Quorum([]string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}), dsync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println("semaphores:", s.Features().Limits)

	_, err = dsync.New(redis.Quorum([]string{"10.0.0.1", "10.0.0.2"}))
	fmt.Println(err)
	// Output:
	// semaphores: false
	// sync/redis: new: invalid: 2 servers, want an odd number of at least 3
}

func ExampleWithClient() {
	_, err := dsync.New(redis.WithClient(nil)) // a redis.UniversalClient of one's own, which Close leaves open
	fmt.Println(err)
	// Output: sync/redis: new: invalid: nil client
}
