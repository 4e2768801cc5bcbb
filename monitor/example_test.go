package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/micro/go-platform/monitor"
)

// A check runs in the background; the probe reads what is known.
func ExampleNew() {
	ctx := context.Background()
	mo, err := monitor.New(monitor.WithService("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mo.Close(ctx)

	checked := make(chan struct{})
	err = mo.Register(monitor.Check{Name: "database", Interval: time.Hour, Func: func(ctx context.Context) error {
		defer close(checked)
		return errors.New("connection refused")
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-checked
	for s := range mo.Watch(ctx) { // until the result is in
		if r, _ := s.Check("database"); r.State == monitor.Fail {
			break
		}
	}

	probe := httptest.NewRecorder()
	mo.Handler().ServeHTTP(probe, httptest.NewRequest("GET", "/readyz", nil))
	fmt.Println(probe.Code, mo.Status().State)
	// Output: 503 fail
}

// Instances that share a backend see each other.
func ExampleMemory() {
	ctx := context.Background()
	shared := monitor.NewReports()
	expected := monitor.WithExpected(func(string) ([]string, bool) { return []string{"a", "b"}, true })
	a, err := monitor.New(monitor.Memory(shared), expected, monitor.WithInstance(monitor.Instance{ID: "a", Service: "orders"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close(ctx)
	b, err := monitor.New(monitor.Memory(shared), expected, monitor.WithInstance(monitor.Instance{ID: "b", Service: "orders"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close(ctx)

	for v := range a.Cluster().Watch(ctx, "orders") {
		if v.Verdict == monitor.Pass {
			fmt.Println(v.Service, v.Verdict, v.Pass, "of", v.Expected)
			break
		}
	}
	// Output: orders pass 2 of 2
}

// An endpoint's numbers come from a bounded set of names, never from paths.
func ExampleMonitor_observe() {
	ctx := context.Background()
	mo, err := monitor.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mo.Close(ctx)
	mo.Observe(monitor.Endpoint{Service: "orders", Method: "GET /orders/{id}"}, 20*time.Millisecond, nil)
	e := mo.Stats().Endpoints[0]
	fmt.Println(e.Method, e.Total.Calls, e.Total.Errors)
	// Output: GET /orders/{id} 1 0
}
