package etcd_test

import (
	"fmt"

	engine "github.com/micro/go-platform/engine/etcd"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/etcd"
)

func ExampleBackend() {
	s, err := dsync.New(etcd.Backend("etcd://app:secret@10.0.0.1,10.0.0.2,10.0.0.3:2379"), dsync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println("fair:", s.Features().Fair)

	_, err = dsync.New(etcd.Backend("redis://app:secret@10.0.0.1"))
	fmt.Println(err)
	// Output:
	// fair: true
	// sync/etcd: new: invalid: unknown scheme "redis" in address "redis://app:xxxxx@10.0.0.1", want one of etcd, etcds, http, https
}

func ExampleOn() {
	_, err := dsync.New(etcd.On(engine.FromClient(nil))) // a *clientv3.Client of your own, which Close leaves open
	fmt.Println(err)
	// Output: sync/etcd: new: invalid: nil client
}
