package etcd_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
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

func ExampleWithClient() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"10.0.0.1:2379"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() // which discovery doesn't
	d, err := discovery.New(etcd.WithClient(client), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Close(), client.Ctx().Err() == context.Canceled)
	// Output: <nil> false
}
