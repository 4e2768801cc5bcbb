// Command step6 is the service of docs/start.md that publishes what happens, and
// keeps notes of it.
//
//	go run ./examples/start/step6 -name one -on sqlite:greeter.db
//	go run ./examples/start/step6 -name two -on sqlite:greeter.db -addr 127.0.0.1:8081
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
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/engine"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// flags are what the command line says.
type flags struct{ addr, name, on, tokens, settings string }

// settings are what the file may hold.
type settings struct {
	Greeting string `config:"greeting" default:"Hello"`
}

func run(ctx context.Context, f flags) error {
	// snippet: service
	var engines engine.Set // equal URLs share one connection
	defer engines.Close()
	registry, err1 := engine.Options(&engines, f.on, discoverysql.URL, discoveryredis.URL)
	stream, err2 := engine.Options(&engines, f.on, eventsql.URL, eventredis.URL)
	store, err3 := engine.Options(&engines, f.on, kvsql.URL, kvredis.URL)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	// end snippet
	rules, err := callers(f.tokens)
	if err != nil {
		return err
	}
	app, err := platform.New("greeter", platform.WithVersion("1.0.0"), platform.WithInstance(f.name),
		platform.WithConfig(config.WithSource(file.Source(f.settings), config.Optional())),
		platform.WithDiscovery(registry...), platform.WithEvent(stream...), platform.WithKV(store...),
		platform.WithAuth(rules...), platform.WithWrapper(wrapper.WithPublicPaths("/debug/platform/")),
		platform.WithTrace(trace.Memory(trace.NewStore(10_000, time.Hour))))
	if err != nil {
		return err
	}
	bound, err := config.Bind[settings](app.Config(), "") // checked now, and before each change
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	status, err := page.New(app.Monitor(), page.WithTrace(app.Trace()), page.WithRouter(app.Router()), page.WithDiscovery(app.Discovery()), page.WithAuth(app.Auth()), page.WithConfig(app.Config()), page.WithEvents(app.Event()))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer status.Close()

	if err := follow(ctx, app); err != nil {
		return errors.Join(err, app.Close(ctx))
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(rw http.ResponseWriter, r *http.Request) {
		if err := note(r.Context(), app, r.PathValue("name")); err != nil {
			http.Error(rw, "the greeting can't be noted", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(rw, "%s, %s, from %s\n", bound.Load().Greeting, r.PathValue("name"), f.name)
	})
	mux.HandleFunc("GET /greeted/{name}", greeted(app))
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
	flag.StringVar(&f.on, "on", "", "the registry, the stream and the store: sqlite:file, postgres://…, redis://…; none: this process alone")
	flag.StringVar(&f.tokens, "tokens", "tokens.json", "a file of tokens by the names of those who have them")
	flag.StringVar(&f.settings, "settings", "greeter.json", "a file with the settings; it may be absent, and change")
	flag.Parse()
	fmt.Fprintf(os.Stderr, "%[1]s: try http://%[2]s/hello/Ada and /greeted/Ada with ann's token, and http://%[2]s/debug/platform/ in a browser\n", f.name, f.addr)
	if err := run(context.Background(), f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
