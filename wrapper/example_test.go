package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// Whatever is given to New is put around the service; the rest is left out.
func ExampleNew() {
	ctx := context.Background()
	mt, err1 := metrics.New()
	tr, err2 := trace.New(trace.WithService("orders"))
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithMetrics(mt), wrapper.WithTrace(tr))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "order ", r.PathValue("id")) })
	server := httptest.NewServer(w.Handler(mux))

	resp, err := http.Get(server.URL + "/orders/17")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	served := mt.Snapshot().Match("http.server.request.duration",
		metrics.Label{Key: "http.route", Value: "/orders/{id}"}, metrics.Label{Key: "http.response.status_code", Value: "200"})
	fmt.Println(string(body), served[0].Count)

	server.Close()
	fmt.Println(w.Close(ctx)) // drains, then flushes and closes what was given
	// Output:
	// order 17 1
	// <nil>
}

// A client finds the instances of a service by its name.
func ExampleWrapper_Client() {
	ctx := context.Background()
	greeter := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "hello") }))
	defer greeter.Close()
	d, err1 := discovery.New(static.Backend(discovery.Instance{Service: "greeter", ID: "one", Address: strings.TrimPrefix(greeter.URL, "http://")}))
	if err1 != nil {
		fmt.Println(err1)
		return
	}
	defer d.Close()
	ro, err2 := router.New(router.WithDiscovery(d))
	w, err3 := wrapper.New(wrapper.WithName("shop"), wrapper.WithRouter(ro))
	if err := errors.Join(err2, err3); err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close(ctx)

	resp, err := w.Client().Get("http://greeter/hello") // balanced, and retried on another instance
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body))
	// Output: hello
}

// Labels of a context, or of the request that is being served, choose among a
// service's instances, and travel on.
func ExampleContextWithLabels() {
	ctx := wrapper.ContextWithLabels(context.Background(), map[string]string{"canary": "yes"})
	fmt.Println(wrapper.LabelsFromContext(ctx))
	// Output: map[canary:yes]
}
