package etcd_test

import (
	"fmt"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/etcd"
	engine "github.com/micro/go-platform/engine/etcd"
)

func ExampleSource() {
	cfg, err := config.New(
		config.WithSource(config.Memory("defaults", map[string]int{"limit": 10})),
		config.WithSource(etcd.Source("127.0.0.1:1", "config/orders"), config.Optional()), // nobody listens there
	)
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("limit").Int(0), cfg.Health().OK)
	// Output: 10 false
}

func ExampleOn() {
	e, err := engine.Open("127.0.0.1:1") // for several packages
	if err != nil {
		panic(err)
	}
	defer e.Close()
	cfg, err := config.New(config.WithSource(etcd.On(e, "config/orders"), config.Optional())) // nobody listens there
	if err != nil {
		panic(err)
	}
	fmt.Println(cfg.Health().OK, cfg.Close())
	// Output: false <nil>
}
