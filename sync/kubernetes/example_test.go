package kubernetes_test

import (
	"fmt"

	engine "github.com/micro/go-platform/engine/kubernetes"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/kubernetes"
)

func ExampleBackend() {
	s, err := dsync.New(kubernetes.Backend("https://10.0.0.1:6443?namespace=shop"), dsync.WithLazy()) // WithLazy: this example runs without a cluster
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println("semaphores:", s.Features().Limits)

	_, err = dsync.New(kubernetes.Backend("in-cluster"))
	fmt.Println(err)
	// Output:
	// semaphores: false
	// sync/kubernetes: new: invalid: not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set
}

func ExampleOn() {
	e, err := engine.Open("https://10.0.0.1:6443", engine.WithTokenFile("/run/secrets/kubernetes-token"), engine.WithNamespace("shop"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it

	s, err := dsync.New(kubernetes.On(e), dsync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println(s.Features().Backend)
	// Output: kubernetes
}

// The election of the id "reports" is held on the Lease that a program with
// client-go's leader election uses too: they take turns.
func ExampleWithElection() {
	s, err := dsync.New(kubernetes.Backend("https://10.0.0.1:6443?namespace=shop", kubernetes.WithElection("reports", "reports-leader")), dsync.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	leader, err := s.Leader("reports", dsync.Owner("pod-1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer leader.Close()
	fmt.Println(leader.Status())
	// Output: follower
}
