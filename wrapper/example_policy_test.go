package wrapper_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/micro/go-platform/wrapper"
)

// A service that strangers call believes nothing that they send beside their
// request, but for a proxy that shows a certificate.
func ExampleWithEdge() {
	w, err := wrapper.New(wrapper.WithName("shop"), wrapper.WithEdge(func(_ context.Context, c *wrapper.Call) bool {
		r := c.Request()
		return r != nil && r.TLS != nil && len(r.TLS.VerifiedChains) > 0
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close(context.Background())
	h := w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(wrapper.LabelsFromContext(r.Context()), r.Header.Get("X-Forwarded-User") == "")
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Micro-Label-Shard", "7")
	r.Header.Set("X-Forwarded-User", "admin")
	h.ServeHTTP(httptest.NewRecorder(), r)
	// Output: map[] true
}

func ExampleWrapper_SetPolicies() {
	w, err := wrapper.New(wrapper.WithName("shop"), wrapper.WithPolicies(
		wrapper.Policy{Service: "reports", Timeout: time.Minute, Retry: &wrapper.RetryPolicy{Attempts: 1}},
		wrapper.Policy{Inbound: true, Method: "POST", Route: "/orders", Limit: &wrapper.Limit{Concurrency: 50}},
	))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close(context.Background())
	fmt.Println(w.SetPolicies(wrapper.Policy{Service: "reports", Timeout: -time.Minute}))
	// Output: wrapper: set policies: invalid: policy 0: negative timeout
}

func ExampleRoute() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	w, err := wrapper.New(wrapper.WithName("shop"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close(context.Background())
	// TimeoutHandler copies the request: the pattern would not be seen outside.
	h := w.Handler(http.TimeoutHandler(wrapper.Route(nil)(mux), time.Second, "too slow"))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/users/17", nil))
	fmt.Println(rec.Code)
	// Output: 200
}
