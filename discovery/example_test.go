package discovery_test

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/go-platform/discovery"
)

func Example() {
	ctx := context.Background()
	d, err := discovery.New() // a registry in this process; consul.Backend("127.0.0.1:8500") for a real one
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()

	r, err := d.Register(ctx, discovery.Instance{Service: "greeter", ID: "one", Address: "10.0.0.7:8080", Version: "1.2"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Deregister(ctx)

	s, err := d.Get(ctx, "greeter")
	for _, in := range s.Instances {
		fmt.Println(in.ID, in.Address, in.Version, in.Status)
	}
	fmt.Println(s.State, err)
	// Output:
	// one 10.0.0.7:8080 1.2 up
	// live <nil>
}

func ExampleMemory() {
	ctx := context.Background()
	registry := discovery.NewRegistry()
	server, _ := discovery.New(discovery.Memory(registry))
	client, _ := discovery.New(discovery.Memory(registry))
	defer client.Close()

	server.Register(ctx, discovery.Instance{Service: "greeter", ID: "one", Address: "127.0.0.1:8080"})
	fmt.Println(client.Services(ctx))
	server.Close() // deregisters
	fmt.Println(client.Services(ctx))
	// Output:
	// [greeter] <nil>
	// [] <nil>
}

func ExampleDiscovery_Watch() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	var r discovery.Registration
	for s, err := range d.Watch(ctx, "greeter") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(s.Instances), "instances", s.State)
		if r != nil {
			break
		}
		r, _ = d.Register(ctx, discovery.Instance{Service: "greeter", Address: "127.0.0.1:8080"})
	}
	// Output:
	// 0 instances live
	// 1 instances live
}

func ExampleDiscovery_Lookup() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	d.Register(ctx, discovery.Instance{Service: "greeter", ID: "one", Address: "127.0.0.1:8080"})

	_, ok := d.Lookup("greeter")
	fmt.Println("before the first Get:", ok)
	d.Get(ctx, "greeter")
	s, ok := d.Lookup("greeter")
	fmt.Println("after it:", ok, s.Instances[0].ID)
	// Output:
	// before the first Get: false
	// after it: true one
}

func ExampleDiscovery_Changes() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	d.Get(ctx, "greeter") // follows it from here on
	r, _ := d.Register(ctx, discovery.Instance{Service: "greeter", ID: "one", Address: "127.0.0.1:8080"})

	seen := uint64(0)
	for s, err := range d.Watch(ctx, "greeter") {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range d.Changes("greeter", time.Time{}) {
			switch {
			case c.Revision <= seen:
				continue
			case c.Before == nil:
				fmt.Println(c.After.ID, "came")
			case c.After == nil:
				fmt.Println(c.Before.ID, c.Fate)
				return
			}
		}
		seen = s.Revision
		if len(s.Instances) > 0 {
			r.Deregister(ctx)
		}
	}
	// Output:
	// one came
	// one deregistered
}

func ExampleRegistration_Heartbeats() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	r, _ := d.Register(ctx, discovery.Instance{Service: "greeter", Address: "127.0.0.1:8080"})
	for _, h := range r.Heartbeats() {
		fmt.Println(h.Took < time.Second, h.Err)
	}
	// Output: true <nil>
}

func ExampleMaxStale() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	s, err := d.Get(ctx, "greeter", discovery.MaxStale(10*time.Second))
	fmt.Println(s.Age() < 10*time.Second, err)
	// Output: true <nil>
}

func ExampleRegistration_Drain() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	r, _ := d.Register(ctx, discovery.Instance{Service: "greeter", Address: "127.0.0.1:8080"})
	// Readers see Draining and send no new work; then the instance is gone.
	err := r.Drain(ctx, 10*time.Millisecond)
	s, _ := d.Get(ctx, "greeter")
	fmt.Println(err, len(s.Instances))
	// Output: <nil> 0
}

func ExampleRegistration_Update() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	r, _ := d.Register(ctx, discovery.Instance{Service: "greeter", Address: "127.0.0.1:8080", Status: discovery.Starting})
	err := r.Update(ctx, func(in *discovery.Instance) { in.Status = discovery.Up })
	fmt.Println(r.Instance().Status, r.Err(), err)
	// Output: up <nil> <nil>
}

func ExampleSnapshot_Subset() {
	var all discovery.Snapshot
	for i := range 1000 {
		all.Instances = append(all.Instances, discovery.Instance{ID: fmt.Sprint("i-", i)})
	}
	fmt.Println(len(all.Subset("my-instance-id", 20).Instances))
	// Output: 20
}
