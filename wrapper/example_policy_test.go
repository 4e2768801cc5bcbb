package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/micro/go-platform/router/limits"
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

// A limit for each caller, which the answers tell about.
func Example_rateLimit() {
	byKey := func(ctx context.Context) string {
		c, _ := wrapper.FromContext(ctx)
		return c.Header.Get("X-Api-Key")
	}
	limit, err1 := limits.Keyed(byKey, 2, 120, 10_000) // 120 a minute for each key
	limit, err2 := limits.Named("per-key", limit)
	w, err3 := wrapper.New(wrapper.WithName("orders"), wrapper.WithLimit(limit))
	if err := errors.Join(err1, err2, err3); err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close(context.Background())
	srv := httptest.NewServer(w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Header.Get("RateLimit"))
	fmt.Println(resp.Header.Get("RateLimit-Policy"))
	// Output:
	// "per-key";r=119;t=1
	// "per-key";q=120;w=60
}
