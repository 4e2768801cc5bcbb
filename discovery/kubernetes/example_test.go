package kubernetes_test

import (
	"fmt"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/kubernetes"
	engine "github.com/micro/go-platform/engine/kubernetes"
)

func ExampleBackend() {
	// In a pod the address is "in-cluster". Lazily: this example runs without a server.
	d, err := discovery.New(kubernetes.Backend("https://10.0.0.1:6443?namespace=shop"), discovery.WithLazy())
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
	e, err := engine.Open("https://10.0.0.1:6443", engine.WithTokenFile("/run/secrets/token")) // for several packages
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	d, err := discovery.New(kubernetes.On(e), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Close(), e)
	// Output: <nil> https://10.0.0.1:6443
}

// Services of other namespaces, and ports by name.
func ExampleParseTarget() {
	fmt.Printf("%+v\n", kubernetes.ParseTarget("greeter.shop:grpc"))
	_, err := discovery.New(kubernetes.Backend("https://10.0.0.1:6443", kubernetes.WithTargets(kubernetes.ParseTarget)), discovery.WithLazy())
	fmt.Println(err)
	// Output:
	// {Namespace:shop Service:greeter Port:grpc}
	// <nil>
}
