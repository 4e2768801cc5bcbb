package engine_test

import (
	"errors"
	"fmt"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/kv"
	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/sync"
	syncredis "github.com/micro/go-platform/sync/redis"
)

// Two packages of one program over one pool of connections.
func Example() {
	// snippet: share
	e, err := redis.Open("redis://10.0.0.1:6379", redis.WithMaxConns(50))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	store, err := kv.New(kvredis.On(e), kv.WithLazy()) // WithLazy: this example runs without Redis
	// end snippet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	locks, err := sync.New(syncredis.On(e), sync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locks.Close()

	_, err = redis.Open("redis://:secret@10.0.0.1/x")
	fmt.Println(errors.Is(err, engine.ErrInvalid), err)
	// Output: true engine/redis: open: invalid: address "redis://:xxxxx@10.0.0.1/x": database "x", want a number
}
