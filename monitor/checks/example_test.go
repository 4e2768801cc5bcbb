package checks_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/checks"
)

func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	mo, err := monitor.New()
	if err != nil {
		panic(err)
	}
	defer mo.Close(context.Background())
	mo.Register(monitor.Check{Name: "broker", Func: checks.TCP(l.Addr().String())})
	mo.Register(monitor.Check{Name: "goroutines", Func: checks.Goroutines(10_000), Severity: monitor.Soft})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for s := range mo.Watch(ctx) {
		if s.State == monitor.Pass {
			fmt.Println("ready:", s.Ready)
			break
		}
	}
	// Output: ready: true
}
