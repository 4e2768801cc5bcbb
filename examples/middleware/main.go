// Command middleware is a net/http service that existed before, and the lines
// that put the whole stack around it.
//
//	go run ./examples/middleware
//	curl -i http://127.0.0.1:8080/hello/Ada
package main

// snippet: service
import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// hello is your existing handler.
func hello(rw http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(rw, "Hello, %s\n", r.PathValue("name"))
}

func run(ctx context.Context, addr string) error {
	lg, err1 := log.New(log.WithContext(trace.ContextAttrs))
	tr, err2 := trace.New(trace.WithService("greeter"))
	mt, err3 := metrics.New(metrics.WithRuntime())
	mo, err4 := monitor.New(monitor.WithService("greeter"))
	di, err5 := discovery.New() // or discovery.New(consul.Backend("127.0.0.1:8500"))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	defer di.Close()
	ro, err := router.New(router.WithDiscovery(di))
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", hello)
	mux.Handle("/", mo.Handler()) // /livez /readyz /statusz …
	mux.Handle("GET /metrics", prometheus.Handler(mt))

	server := &http.Server{Addr: addr}
	w, err := wrapper.New(wrapper.WithName("greeter"), wrapper.WithLog(lg), wrapper.WithTrace(tr),
		wrapper.WithMetrics(mt), wrapper.WithMonitor(mo), wrapper.WithRouter(ro), wrapper.WithOnDrain(server.Shutdown))
	if err != nil {
		return err
	}
	server.Handler = w.Handler(mux) // and w.Client() for the calls that it makes

	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, w.Close(closing)) // drains, then flushes
}

// end snippet

// about says what runs, and what to try next.
func about(addr string) string {
	return "greeter, a net/http service with the middleware around it, at http://" + addr + "\ntry:\n" +
		"  curl -i http://" + addr + "/hello/Ada\n" +
		"  curl http://" + addr + "/readyz\n" +
		"  curl http://" + addr + "/metrics\n" +
		"Ctrl-C drains it and ends it.\n"
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprint(os.Stderr, about(*addr))
	if err := run(ctx, *addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
