package router_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
)

// shop is a registry of two instances, of which one is a new version.
func shop() discovery.Discovery {
	d, err := discovery.New(static.Backend(
		discovery.Instance{Service: "shop", ID: "a", Address: "10.0.0.1:80", Version: "1"},
		discovery.Instance{Service: "shop", ID: "b", Address: "10.0.0.2:80", Version: "2", Labels: map[string]string{"canary": "yes"}},
	))
	if err != nil {
		panic(err)
	}
	return d
}

// Pick chooses an instance. How the call went teaches the next choice.
func ExampleNew() {
	ctx := context.Background()
	d := shop()
	defer d.Close()
	ro, err := router.New(router.WithDiscovery(d), router.WithStrategy(router.RoundRobin()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ro.Close(ctx)
	seen := map[string]int{}
	for range 10 {
		pick, err := ro.Pick(ctx, "shop")
		if err != nil {
			fmt.Println(err)
			return
		}
		seen[pick.Instance.Address]++
		pick.Done(router.Outcome{Class: router.OK, Latency: 3 * time.Millisecond})
	}
	fmt.Println(seen)
	// Output: map[10.0.0.1:80:5 10.0.0.2:80:5]
}

// Select gives another instance each time, for retries.
func ExampleRouter_select() {
	ctx := context.Background()
	d := shop()
	defer d.Close()
	ro, _ := router.New(router.WithDiscovery(d))
	defer ro.Close(ctx)
	next, err := ro.Select(ctx, "shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		pick, err := next()
		if errors.Is(err, router.ErrExhausted) {
			fmt.Println("all were tried")
			return
		}
		pick.Done(router.Outcome{Class: router.Connect}) // nobody answers
	}
	// Output: all were tried
}

// Labels narrow the choice to instances that carry all of them.
func ExampleLabels() {
	ctx := context.Background()
	d := shop()
	defer d.Close()
	ro, _ := router.New(router.WithDiscovery(d))
	defer ro.Close(ctx)
	pick, err := ro.Pick(ctx, "shop", router.Labels(map[string]string{"canary": "yes"}))
	fmt.Println(pick.Instance.ID, err)
	pick.Done(router.Outcome{})
	_, err = ro.Pick(ctx, "shop", router.Labels(map[string]string{"canary": "no"}))
	var none *router.NoMatchError
	fmt.Println(errors.As(err, &none))
	// Output:
	// b <nil>
	// true
}

// A rule gives a version its share of the users; a user stays where he is.
func ExampleWithRules() {
	ctx := context.Background()
	d := shop()
	defer d.Close()
	ro, err := router.New(router.WithDiscovery(d), router.WithRules(router.Rule{Name: "rollout", Service: "shop", Branches: []router.Branch{
		{Variant: "new", Version: "2", Weight: 20},
		{Variant: "old", Version: "1", Weight: 80},
	}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ro.Close(ctx)
	users := 0
	for user := range 1000 {
		pick, _ := ro.Pick(ctx, "shop", router.Key(fmt.Sprint(user)))
		if pick.Instance.Version == "2" {
			users++
		}
		pick.Done(router.Outcome{})
	}
	fmt.Println("about a fifth:", users > 150 && users < 250)
	// Output: about a fifth: true
}

// Explain says what the next choice knows.
func ExampleRouter_explain() {
	ctx := context.Background()
	d := shop()
	defer d.Close()
	ro, _ := router.New(router.WithDiscovery(d))
	defer ro.Close(ctx)
	pick, _ := ro.Pick(ctx, "shop")
	pick.Done(router.Outcome{})
	e := ro.Explain("shop")
	fmt.Println(e.Strategy+":", e.Healthy, "of", e.Known)
	for _, n := range e.Nodes {
		fmt.Println(n.ID, n.Matches, n.Ejected)
	}
	// Output:
	// least cost: 2 of 2
	// a true false
	// b true false
}

// A limiter refuses what is too much, and says when to come back.
func ExampleTokenBucket() {
	limit, err := router.TokenBucket(10, 1) // ten a second, one at once
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
	limit, _ := router.Concurrency(1)
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

// A breaker stops calls to what keeps failing.
func ExampleNewBreaker() {
	b, err := router.NewBreaker(router.BreakerPolicy{Consecutive: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		trial, _ := b.Allow()
		trial.Done(router.Timeout)
	}
	_, err = b.Allow()
	var open *router.OpenError
	fmt.Println(errors.As(err, &open))
	// Output: true
}

// At most two calls at a time, and ten that wait for their turn.
func ExampleQueue() {
	limit, err := router.Queue(2, 10)
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
	bucket, _ := router.TokenBucket(1000, 1)
	limit, err := router.Waiting(bucket)
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
	limit, err := router.PerKey(
		func(ctx context.Context) string { name, _ := ctx.Value(service{}).(string); return name }, 100,
		func(string) (router.Limiter, error) { return router.Concurrency(10) })
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
	limit, err := router.TokenBucket(0.1, 6) // 6 a minute
	if err != nil {
		fmt.Println(err)
		return
	}
	limit, err = router.Named("free plan", limit)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 5 {
		if _, err := limit.Acquire(context.Background()); err != nil {
			fmt.Println(err)
		}
	}
	s := router.StateOf(context.Background(), limit)
	fmt.Println(s.Policy, s.Remaining, "of", s.Limit, "in", s.Window)
	// Output: free plan 1 of 6 in 1m0s
}
