// Command migrated is the service that docs/migration.md shows before its move from
// go-micro, Kratos, go-zero or Dapr, after it: a handler, a registry, a live
// configuration, and a call of another service by its name.
//
//	go run ./examples/migrated -discovery etcd://127.0.0.1:2379 -config greeter.json
package main

// snippet: service
import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/file"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/engine"
)

// Settings are live: a change of the file is a change of the answer.
type Settings struct {
	Greeting string `config:"greeting" default:"Hello"`
}

func run(ctx context.Context, addr, registry, path string) (err error) {
	var engines engine.Set // one connection to each server, whatever uses it
	found, err := engine.Options(&engines, registry, etcd.URL, consul.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engines.Close()) }()

	app, err := platform.New("greeter", platform.WithVersion("1.2.0"),
		platform.WithDiscovery(found...),
		platform.WithConfig(config.WithSource(file.Source(path)), config.WithSource(config.Env("GREETER"))))
	if err != nil {
		return err
	}
	settings, err := config.Bind[Settings](app.Config(), "")
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer settings.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{id}", func(rw http.ResponseWriter, r *http.Request) {
		name, err := user(r.Context(), app.Client(), r.PathValue("id"))
		if err != nil {
			app.Logger("hello").WarnContext(r.Context(), "no user", "error", err)
			http.Error(rw, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(rw, "%s, %s\n", settings.Load().Greeting, name)
	})
	return app.Run(ctx, platform.HTTP(addr, mux))
}

// user asks the service users for a name. The client finds an instance, balances,
// retries within a budget, and traces.
func user(ctx context.Context, client *http.Client, id string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://users/users/"+url.PathEscape(id), nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("users: %s", resp.Status)
	}
	var u struct{ Name string }
	err = json.NewDecoder(resp.Body).Decode(&u)
	return u.Name, err
}

// end snippet

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	registry := flag.String("discovery", "etcd://127.0.0.1:2379", "URL of the registry: etcd:// or consul://")
	path := flag.String("config", "greeter.json", "file of the configuration")
	flag.Parse()
	fmt.Fprintf(os.Stderr, "greeter at http://%s/hello/17, once a service users is registered; Ctrl-C drains it and ends it\n", *addr)
	if err := run(context.Background(), *addr, *registry, *path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
