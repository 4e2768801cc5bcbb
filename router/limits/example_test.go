package limits_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
)

// A limiter refuses what is too much, and says when to come back.
func ExampleTokenBucket() {
	limit, err := limits.TokenBucket(10, 1) // ten a second, one at once
	if err != nil {
		fmt.Println(err)
		return
	}
	permit, err := limit.Acquire(context.Background())
	fmt.Println(err)
	permit.Release(router.Outcome{})
	_, err = limit.Acquire(context.Background())
	fmt.Println(errors.Is(err, router.ErrLimited))
	// Output:
	// <nil>
	// true
}

func ExampleConcurrency() {
	limit, _ := limits.Concurrency(1)
	first, _ := limit.Acquire(context.Background())
	_, err := limit.Acquire(context.Background())
	fmt.Println(errors.Is(err, router.ErrLimited))
	first.Release(router.Outcome{})
	_, err = limit.Acquire(context.Background())
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

// At most two calls at a time, and ten that wait for their turn.
func ExampleQueue() {
	limit, err := limits.Queue(2, 10)
	if err != nil {
		panic(err)
	}
	permit, err := limit.Acquire(context.Background())
	if err != nil {
		panic(err)
	}
	defer permit.Release(router.Outcome{})
	fmt.Println("call")
	// Output: call
}

// A limiter that refuses becomes one that waits.
func ExampleWaiting() {
	bucket, _ := limits.TokenBucket(1000, 1)
	limit, err := limits.Waiting(bucket)
	if err != nil {
		panic(err)
	}
	for range 3 {
		if _, err := limit.Acquire(context.Background()); err != nil {
			panic(err)
		}
	}
	fmt.Println("three calls, a millisecond apart")
	// Output: three calls, a millisecond apart
}

// Each service may be called ten times at a time.
func ExamplePerKey() {
	type service struct{}
	limit, err := limits.PerKey(
		func(ctx context.Context) string { name, _ := ctx.Value(service{}).(string); return name }, 100,
		func(string) (limits.Limiter, error) { return limits.Concurrency(10) })
	if err != nil {
		panic(err)
	}
	permit, err := limit.Acquire(context.WithValue(context.Background(), service{}, "greeter"))
	if err != nil {
		panic(err)
	}
	permit.Release(router.Outcome{})
	fmt.Println("called")
	// Output: called
}

func ExampleNamed() {
	limit, err := limits.TokenBucket(0.1, 6) // 6 a minute
	if err != nil {
		fmt.Println(err)
		return
	}
	limit, err = limits.Named("free plan", limit)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 5 {
		if _, err := limit.Acquire(context.Background()); err != nil {
			fmt.Println(err)
		}
	}
	s := limits.StateOf(context.Background(), limit)
	fmt.Println(s.Policy, s.Remaining, "of", s.Limit, "in", s.Window)
	// Output: free plan 1 of 6 in 1m0s
}
