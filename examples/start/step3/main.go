// Command step3 is the service of docs/start.md whose instances find each other.
//
//	go run ./examples/start/step3 -name one -on sqlite:greeter.db
//	go run ./examples/start/step3 -name two -on sqlite:greeter.db -addr 127.0.0.1:8081
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
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/trace"
)

// snippet: service
func run(ctx context.Context, addr, name, on string) error {
	var engines engine.Set
	defer engines.Close()
	registry, err := engine.Options(&engines, on, discoverysql.URL, discoveryredis.URL, discoveryconsul.URL)
	if err != nil {
		return err
	}
	app, err := platform.New("greeter", platform.WithVersion("1.0.0"), platform.WithInstance(name),
		platform.WithDiscovery(registry...),
		platform.WithTrace(trace.Memory(trace.NewStore(10_000, time.Hour))))
	if err != nil {
		return err
	}
	// end snippet
	status, err := page.New(app.Monitor(), page.WithTrace(app.Trace()), page.WithRouter(app.Router()), page.WithDiscovery(app.Discovery()))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer status.Close()

	mux := http.NewServeMux()
	// snippet: routes
	mux.HandleFunc("GET /hello/{name}", func(rw http.ResponseWriter, r *http.Request) {
		app.Logger("greeter").InfoContext(r.Context(), "greets", "name", r.PathValue("name"))
		fmt.Fprintf(rw, "Hello, %s, from %s\n", r.PathValue("name"), name)
	})
	mux.HandleFunc("GET /ask/{name}", func(rw http.ResponseWriter, r *http.Request) {
		answer, err := ask(r.Context(), app.Client(), r.PathValue("name"))
		if err != nil {
			http.Error(rw, "nobody greets", http.StatusBadGateway)
			return
		}
		fmt.Fprint(rw, answer)
	})
	// end snippet
	mux.Handle("/debug/platform/", http.StripPrefix("/debug/platform", status))
	return app.Run(ctx, platform.HTTP(addr, mux))
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	name := flag.String("name", "one", "the name of this instance")
	on := flag.String("on", "", "the registry: sqlite:file, postgres://…, redis://…, consul://…; none: this process alone")
	flag.Parse()
	fmt.Fprintf(os.Stderr, "%[1]s: try http://%[2]s/ask/Ada, and http://%[2]s/debug/platform/ in a browser\n", *name, *addr)
	if err := run(context.Background(), *addr, *name, *on); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
