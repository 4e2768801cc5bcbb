// Command step2 is the service of docs/start.md with logs, metrics, traces,
// probes and the status page.
//
//	go run ./examples/start/step2
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/trace"
)

// snippet: service
func run(ctx context.Context, addr string) error {
	app, err := platform.New("greeter", platform.WithVersion("1.0.0"),
		platform.WithTrace(trace.Memory(trace.NewStore(10_000, time.Hour)))) // or a collector: docs/trace.md
	if err != nil {
		return err
	}
	status, err := page.New(app.Monitor(), page.WithTrace(app.Trace()))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer status.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(rw http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		app.Logger("greeter").InfoContext(r.Context(), "greets", "name", name)
		fmt.Fprintf(rw, "Hello, %s\n", name)
	})
	mux.Handle("/debug/platform/", http.StripPrefix("/debug/platform", status))
	return app.Run(ctx, platform.HTTP(addr, mux))
}

// end snippet

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	fmt.Fprintf(os.Stderr, "try http://%[1]s/hello/Ada, /metrics, and http://%[1]s/debug/platform/ in a browser\n", *addr)
	if err := run(context.Background(), *addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
