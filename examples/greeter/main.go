// Command greeter is a whole service in ten lines: it logs, traces, counts, is
// watched, registers, and drains when it is to stop.
//
//	go run ./examples/greeter
//	curl -i http://127.0.0.1:8080/hello/Ada
package main

// snippet: service
import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"

	"github.com/micro/go-platform"
)

func hello(rw http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(rw, "Hello, %s\n", r.PathValue("name"))
}

// snippet: run
func run(ctx context.Context, addr string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", hello)

	app, err := platform.New("greeter", platform.WithVersion("1.2.0"))
	if err != nil {
		return err
	}
	return app.Run(ctx, platform.HTTP(addr, mux)) // and app.Client(), app.KV(), app.Logger("…") where they are needed
}

// end snippet
// end snippet

// about says what runs, and what to try next.
func about(addr string) string {
	return "greeter, a service in ten lines, at http://" + addr + "\ntry:\n" +
		"  curl -i http://" + addr + "/hello/Ada\n" +
		"  curl http://" + addr + "/readyz\n" +
		"  curl http://" + addr + "/metrics\n" +
		"Ctrl-C drains it and ends it.\n"
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	fmt.Fprint(os.Stderr, about(*addr))
	if err := run(context.Background(), *addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
