package consul_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	engine "github.com/micro/go-platform/engine/consul"
)

// agent answers as a Consul agent does that knows one instance, which another
// program registered.
func agent() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/status/leader":
			fmt.Fprint(w, `"127.0.0.1:8300"`)
		case r.URL.Query().Get("index") != "":
			<-r.Context().Done() // nothing changes
		default:
			w.Header().Set("X-Consul-Index", "7")
			fmt.Fprint(w, `[{"Node":{"Address":"10.0.0.7"},"Service":{"ID":"greeter-1","Port":8080,"Meta":{"version":"1.2"}},"Checks":[]}]`)
		}
	}))
}

func ExampleBackend() {
	agent := agent()
	defer agent.Close()
	d, err := discovery.New(consul.Backend(agent.URL)) // as a rule "127.0.0.1:8500"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	s, err := d.Get(context.Background(), "greeter")
	fmt.Println(s.Instances[0].ID, s.Instances[0].Address, s.Instances[0].Version, err)
	// Output: greeter-1 10.0.0.7:8080 1.2 <nil>
}

func ExampleOn() {
	e, err := engine.Open("10.0.0.1:8500") // for several packages
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	d, err := discovery.New(consul.On(e), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Close())
	// Output: <nil>
}
