package wrapper_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

func ExampleProbe() {
	ctx := context.Background()
	sw, _ := wrapper.New(wrapper.WithName("greeter"), wrapper.WithLoadReport())
	defer sw.Close(ctx)
	server := httptest.NewServer(sw.Handler(http.NotFoundHandler()))
	defer server.Close()

	probe := wrapper.Probe(server.Client(), "http")
	load, err := probe(ctx, &discovery.Instance{ID: "a", Address: server.Listener.Addr().String()})
	fmt.Println(load.InFlight, load.Reported, err)

	// A router that uses it.
	d, _ := discovery.New(static.Backend(static.Addresses("greeter", server.Listener.Addr().String())...))
	defer d.Close()
	r, err := router.New(router.WithDiscovery(d), router.WithStrategy(router.Prequal(probe, router.Probing{})))
	fmt.Println(r.Close(ctx), err)
	// Output:
	// 0 true <nil>
	// <nil> <nil>
}

func ExampleWithKey() {
	type userKey struct{}
	w, err := wrapper.New(wrapper.WithName("shop"), wrapper.WithKey(func(ctx context.Context) string {
		user, _ := ctx.Value(userKey{}).(string)
		return user // the same user stays in the same branch of a canary
	}))
	fmt.Println(err, w.Close(context.Background()))
	// Output: <nil> <nil>
}
