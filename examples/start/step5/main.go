// Command step5 is the service of docs/start.md with settings that change while
// it runs.
//
//	go run ./examples/start/step5 -on sqlite:greeter.db -tokens tokens.json -settings greeter.json
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
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/file"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// flags are what the command line says.
type flags struct{ addr, name, on, tokens, settings string }

// snippet: settings
// settings are what the file may hold.
type settings struct {
	Greeting string `config:"greeting" default:"Hello"`
}

// end snippet

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
		platform.WithConfig(config.WithSource(file.Source(f.settings), config.Optional())),
		platform.WithDiscovery(registry...),
		platform.WithAuth(rules...), platform.WithWrapper(wrapper.WithPublicPaths("/debug/platform/")),
		platform.WithTrace(trace.Memory(trace.NewStore(10_000, time.Hour))))
	if err != nil {
		return err
	}
	bound, err := config.Bind[settings](app.Config(), "") // checked now, and before each change
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	// end snippet
	status, err := page.New(app.Monitor(), page.WithTrace(app.Trace()), page.WithRouter(app.Router()), page.WithDiscovery(app.Discovery()), page.WithAuth(app.Auth()), page.WithConfig(app.Config()))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer status.Close()

	mux := http.NewServeMux()
	// snippet: routes
	mux.HandleFunc("GET /hello/{name}", func(rw http.ResponseWriter, r *http.Request) {
		app.Logger("greeter").InfoContext(r.Context(), "greets", "name", r.PathValue("name"))
		fmt.Fprintf(rw, "%s, %s, from %s\n", bound.Load().Greeting, r.PathValue("name"), f.name)
	})
	// end snippet
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
	flag.StringVar(&f.settings, "settings", "greeter.json", "a file with the settings; it may be absent, and change")
	flag.Parse()
	fmt.Fprintf(os.Stderr, "%[1]s: try http://%[2]s/ask/Ada with ann's token, and http://%[2]s/debug/platform/ in a browser\n", f.name, f.addr)
	if err := run(context.Background(), f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
