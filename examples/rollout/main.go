// Command rollout gives a new version to a part of the users, then to more of them, then to
// nobody again, by the rules of a router, while calls are made.
//
//	go run ./examples/rollout
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
	routerconfig "github.com/micro/go-platform/router/config"
)

// snippet: rules
// rules gives version 2 to a share of the users, and always to testers.
func rules(percent int) map[string]any {
	return map[string]any{"router": map[string]any{"rules": []router.Rule{{
		Name: "testers", Service: "shop", Priority: -1, Match: map[string]string{"tester": "yes"},
		Branches: []router.Branch{{Variant: "new", Version: "2", Weight: 100}},
	}, {
		Name: "rollout", Service: "shop",
		Branches: []router.Branch{{Variant: "new", Version: "2", Weight: percent}},
	}}}}
}

// end snippet

// share says how many of 1000 users get the new version. A user is a key: the same each time.
func share(ctx context.Context, ro router.Router, opts ...router.SelectOption) (users map[int]bool, err error) {
	users = map[int]bool{}
	for user := range 1000 {
		pick, err := ro.Pick(ctx, "shop", append(opts, router.Key(fmt.Sprint("user-", user)))...)
		if err != nil {
			return nil, err
		}
		if pick.Instance.Version == "2" {
			users[user] = true
		}
		pick.Done(router.Outcome{Class: router.OK, Latency: 5 * time.Millisecond})
	}
	return users, nil
}

func run(ctx context.Context, out io.Writer) (err error) {
	// snippet: live
	source := config.Memory("rollout", rules(0)) // or any source that operators can write to
	cfg, err := config.New(config.WithSource(source))
	if err != nil {
		return err
	}
	defer cfg.Close()
	d, err := discovery.New(static.Backend(
		discovery.Instance{ID: "a", Service: "shop", Address: "10.0.0.1:80", Version: "1"},
		discovery.Instance{ID: "b", Service: "shop", Address: "10.0.0.2:80", Version: "1"},
		discovery.Instance{ID: "c", Service: "shop", Address: "10.0.0.3:80", Version: "2", Labels: map[string]string{"tester": "yes"}}))
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := cfg.Subscribe("router.rules", routerconfig.Validate); err != nil { // bad rules are refused
		return err
	}
	ro, err := router.New(router.WithDiscovery(d), router.WithRuleSource(routerconfig.Source(cfg, "router.rules")))
	if err != nil {
		return err
	}
	// end snippet
	defer func() { err = errors.Join(err, ro.Close(context.WithoutCancel(ctx))) }()

	before := map[int]bool{}
	for _, percent := range []int{10, 50, 100, 0} {
		if err := source.Set(rules(percent)); err != nil {
			return err
		}
		users, err := share(ctx, ro)
		for err == nil && len(users) == len(before) { // the router has not heard of it yet
			err = pause(ctx)
			if err == nil {
				users, err = share(ctx, ro)
			}
		}
		if err == nil { // the rules may have changed in the middle of it
			users, err = share(ctx, ro)
		}
		if err != nil {
			return err
		}
		kept := 0
		for user := range before {
			if users[user] {
				kept++
			}
		}
		fmt.Fprintf(out, "%3d %%: %4d of 1000 users have the new version, %d of the %d before\n", percent, len(users), kept, len(before))
		before = users
	}

	testers, err := share(ctx, ro, router.Labels(map[string]string{"tester": "yes"}))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "testers: %d of 1000\n", len(testers))

	source.Set(rules(101))
	fmt.Fprintf(out, "101 %% refused: %t\n", errors.Is(cfg.Reload(ctx), config.ErrDenied))
	return nil
}

// pause waits a little.
func pause(ctx context.Context) error {
	select {
	case <-time.After(5 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const about = "rollout: version 2 of a service for 10 %, 50 %, 100 % and 0 % of 1000 users, by rules that change while calls are made.\n\n"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Print(about)
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
