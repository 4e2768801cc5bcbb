package etcd_test

import (
	"fmt"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/etcd"
	engine "github.com/micro/go-platform/engine/etcd"
)

func ExampleBackend() {
	// Lazily: this example runs without etcd.
	d, err := discovery.New(etcd.Backend("10.0.0.1:2379,10.0.0.2:2379"), discovery.WithNamespace("shop"), discovery.WithLazy())
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
	e, err := engine.Open("10.0.0.1:2379,10.0.0.2:2379") // for several packages
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	d, err := discovery.New(etcd.On(e), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Close(), e.Client().Ctx().Err())
	// Output: <nil> <nil>
}
