package etcd_test

import (
	"fmt"

	"github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/kv"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/sync"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func ExampleOpen() {
	e, err := etcd.Open("etcds://app:secret@10.0.0.1,10.0.0.2,10.0.0.3")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it

	store, err := kv.New(kvetcd.On(e), kv.WithLazy()) // WithLazy: this example runs without etcd
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	locks, err := sync.New(syncetcd.On(e), sync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locks.Close()
	fmt.Println(store.Features().Linearizable, locks.Features().Fair)
	// Output: true true
}

func ExampleFromClient() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"10.0.0.1:2379"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() // Close of the engine and of the store leave it open

	store, err := kv.New(kvetcd.On(etcd.FromClient(client)), kv.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Close(), client.Ctx().Err())
	// Output: <nil> <nil>
}
