// Command step4 is the service of docs/start.md that asks callers who they are.
//
//	go run ./examples/start/step4 -name one -on sqlite:greeter.db -tokens tokens.json
//	go run ./examples/start/step4 -name two -on sqlite:greeter.db -tokens tokens.json -addr 127.0.0.1:8081
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
	"github.com/micro/go-platform/wrapper"
)

// flags are what the command line says.
type flags struct{ addr, name, on, tokens string }

func run(ctx context.Context, f flags) error {
	var engines engine.Set
	defer engines.Close()
	registry, err := engine.Options(&engines, f.on, discoverysql.URL, discoveryredis.URL, discoveryconsul.URL)
	if err != nil {
		return err
	}
	rules, err := callers(f.tokens)
	if err != nil {
		return err
	}
	// snippet: service
	app, err := platform.New("greeter", platform.WithVersion("1.0.0"), platform.WithInstance(f.name),
		platform.WithDiscovery(registry...),
		platform.WithAuth(rules...), platform.WithWrapper(wrapper.WithPublicPaths("/debug/platform/")),
		platform.WithTrace(trace.Memory(trace.NewStore(10_000, time.Hour))))
	if err != nil {
		return err
	}
	// end snippet
	status, err := page.New(app.Monitor(), page.WithTrace(app.Trace()), page.WithRouter(app.Router()), page.WithDiscovery(app.Discovery()), page.WithAuth(app.Auth()))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer status.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(rw http.ResponseWriter, r *http.Request) {
		app.Logger("greeter").InfoContext(r.Context(), "greets", "name", r.PathValue("name"))
		fmt.Fprintf(rw, "Hello, %s, from %s\n", r.PathValue("name"), f.name)
	})
	mux.HandleFunc("GET /ask/{name}", func(rw http.ResponseWriter, r *http.Request) {
		answer, err := ask(r.Context(), app.Client(), r.PathValue("name"))
		if err != nil {
			http.Error(rw, "nobody greets", http.StatusBadGateway)
			return
		}
		fmt.Fprint(rw, answer)
	})
	mux.Handle("/debug/platform/", http.StripPrefix("/debug/platform", status))
	return app.Run(ctx, platform.HTTP(f.addr, mux))
}

func main() {
	var f flags
	flag.StringVar(&f.addr, "addr", "127.0.0.1:8080", "where to listen")
	flag.StringVar(&f.name, "name", "one", "the name of this instance")
	flag.StringVar(&f.on, "on", "", "the registry: sqlite:file, postgres://…, redis://…, consul://…; none: this process alone")
	flag.StringVar(&f.tokens, "tokens", "tokens.json", "a file of tokens by the names of those who have them")
	flag.Parse()
	fmt.Fprintf(os.Stderr, "%[1]s: try http://%[2]s/ask/Ada with ann's token, and http://%[2]s/debug/platform/ in a browser\n", f.name, f.addr)
	if err := run(context.Background(), f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
