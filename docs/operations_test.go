package docs_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/monitor"
)

// watch registers checks of what the process stands on.
func watch(mo monitor.Monitor, store kv.KV, cfg config.Config, self discovery.Registration) error {
	// snippet: checks
	return errors.Join(
		mo.Register(monitor.Check{Name: "store", Dependency: "redis", Func: func(ctx context.Context) error {
			if _, err := store.Get(ctx, "health"); !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			return nil // it answered
		}}),
		mo.Register(monitor.Check{Name: "config", Severity: monitor.Soft, Func: func(context.Context) error {
			return cfg.Health().Err()
		}}),
		mo.Register(monitor.Check{Name: "registered", Severity: monitor.Soft, Dependency: "consul", Func: func(context.Context) error {
			return self.Err()
		}}),
	)
	// end snippet
}

func Example_operations() {
	ctx := context.Background()
	mo, err1 := monitor.New()
	store, err2 := kv.New()
	cfg, err3 := config.New()
	d, err4 := discovery.New()
	check(err1, err2, err3, err4)
	defer func() { check(mo.Close(ctx), d.Close(), cfg.Close(), store.Close()) }()
	self, err := d.Register(ctx, discovery.Instance{Service: "orders", Address: "127.0.0.1:8080"})
	check(err, watch(mo, store, cfg, self))
	for s := range mo.Watch(ctx) {
		if s.State == monitor.Pass && len(s.Checks) == 3 {
			fmt.Println("ready:", s.Ready)
			break
		}
	}
	// Output: ready: true
}
