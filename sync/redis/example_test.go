package redis_test

import (
	"fmt"

	engine "github.com/micro/go-platform/engine/redis"
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
	s, err := dsync.New(redis.Quorum("10.0.0.1", "10.0.0.2", "10.0.0.3"), dsync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println("semaphores:", s.Features().Limits)

	_, err = dsync.New(redis.Quorum("10.0.0.1", "10.0.0.2"))
	fmt.Println(err)
	// Output:
	// semaphores: false
	// sync/redis: new: invalid: 2 servers, want an odd number of at least 3
}

func ExampleOn() {
	_, err := dsync.New(redis.On(engine.FromClient(nil))) // a redis.UniversalClient of your own, which Close leaves open
	fmt.Println(err)
	// Output: sync/redis: new: invalid: nil client
}

func ExampleQuorumOn() {
	engines := make([]*engine.Engine, 3)
	for i, addr := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		e, err := engine.Open(addr, engine.WithAuth("", "secret"))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer e.Close()
		engines[i] = e
	}
	s, err := dsync.New(redis.QuorumOn(engines...), dsync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Close())
	// Output: <nil>
}
