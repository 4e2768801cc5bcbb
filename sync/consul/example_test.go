package consul_test

import (
	"fmt"
	"time"

	engine "github.com/micro/go-platform/engine/consul"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/consul"
)

func ExampleBackend() {
	s, err := dsync.New(consul.Backend("consuls://:token@10.0.0.1:8501", consul.WithLockDelay(15*time.Second)), dsync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	f := s.Features()
	fmt.Println("fair:", f.Fair, "TTL from", f.MinTTL, "lost locks wait", f.Delay)

	_, err = dsync.New(consul.Backend("10.0.0.1", consul.WithLockDelay(time.Hour)))
	fmt.Println(err)
	// Output:
	// fair: true TTL from 10s lost locks wait 15s
	// sync/consul: new: invalid: lock delay 1h0m0s, want 0 to 60 s
}

func ExampleOn() {
	_, err := dsync.New(consul.On(engine.FromClient(nil))) // an *api.Client of your own, which Close leaves open
	fmt.Println(err)
	// Output: sync/consul: new: invalid: nil client
}
