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
