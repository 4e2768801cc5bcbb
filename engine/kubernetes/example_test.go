package kubernetes_test

import (
	"fmt"
	"net/http"

	"github.com/micro/go-platform/engine/kubernetes"
)

func ExampleOpen() {
	e, err := kubernetes.Open("https://10.0.0.1:6443",
		kubernetes.WithTokenFile("/run/secrets/kubernetes-token"), kubernetes.WithNamespace("shop"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it
	fmt.Println(e, e.Namespace())
	// Output: https://10.0.0.1:6443 shop
}

// client-go's own way to credentials is as good: rest.HTTPClientFor makes such a
// client from its configuration.
func ExampleFromClient() {
	client := &http.Client{}
	e, err := kubernetes.FromClient("https://10.0.0.1:6443", client)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Close())
	// Output: <nil>
}
