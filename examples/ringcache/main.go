// Command ringcache caches what three instances of a service look up in the memory of the three:
// no server but their own runs, and what one has looked up none of them looks up again.
//
//	go run ./examples/ringcache
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
	"github.com/micro/go-platform/kv/ring"
)

// lookup is what is slow or dear.
type lookup func(ctx context.Context, id string) ([]byte, error)

// snippet: instance
// serve runs an instance of the service on a port of its own, until stop is called. Its peers talk
// to it on the same port.
func serve(ctx context.Context, d discovery.Discovery, id string, secret []byte, find lookup) (address string, stop func(context.Context) error, err error) {
	node, err := ring.New(d, "users", id, ring.WithKey(secret))
	if err != nil {
		return "", nil, err
	}
	store, err1 := kv.New(ring.Backend(node), kv.WithNamespace("users"), kv.WithLazy())
	users, err2 := cache.NewLoader(store, time.Minute) // one lookup, however many ask
	l, err3 := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(err1, err2, err3); err != nil {
		return "", nil, errors.Join(err, node.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("/.ring", node)
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		item, err := users.GetOrLoad(r.Context(), id, func(ctx context.Context) ([]byte, error) { return find(ctx, id) })
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = w.Write(item.Value)
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	entered, err := d.Register(ctx, discovery.Instance{Service: "users", ID: id, Address: l.Addr().String()})
	if err == nil {
		err = node.Settled(ctx) // it has its share
	}

	stop = func(ctx context.Context) error {
		var errs []error
		if entered != nil { // the others take over before it is gone
			errs = append(errs, entered.Update(ctx, func(in *discovery.Instance) { in.Status = discovery.Draining }),
				node.Drained(ctx), entered.Deregister(ctx))
		}
		return errors.Join(append(errs, server.Shutdown(ctx), users.Close(), store.Close(), node.Close())...)
	}
	return l.Addr().String(), stop, err
}

// end snippet

func run(ctx context.Context, out io.Writer) (err error) {
	d, err := discovery.New() // or consul.Backend, etcd.Backend, redis.Backend
	if err != nil {
		return err
	}
	defer d.Close()
	lookups := make(chan string, 1000)
	find := func(_ context.Context, id string) ([]byte, error) {
		lookups <- id
		return []byte("user " + id), nil
	}
	var addresses []string
	var stops []func(context.Context) error
	defer func() {
		for _, stop := range stops {
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			err = errors.Join(err, stop(end))
			cancel()
		}
	}()
	secret := []byte("from the configuration")
	for _, id := range []string{"users-1", "users-2", "users-3"} {
		address, stop, err := serve(ctx, d, id, secret, find)
		if stop != nil {
			stops = append(stops, stop)
		}
		if err != nil {
			return err
		}
		addresses = append(addresses, address)
	}

	ask := func(id string) error {
		for _, address := range addresses {
			if body, err := get(ctx, fmt.Sprintf("http://%s/users/%s", address, id)); err != nil || body != "user "+id {
				return fmt.Errorf("user %s of %s: %q, %v", id, address, body, err)
			}
		}
		return nil
	}
	const users = 100
	askAll := func() error {
		for i := range users {
			if err := ask(fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	}
	// While instances come and go a value may be looked up twice: these have just come.
	for before := -1; before != len(lookups); {
		before = len(lookups)
		for i := range 10 {
			if err := ask(fmt.Sprint("early-", i)); err != nil {
				return err
			}
		}
	}
	early := len(lookups)
	if err := askAll(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d users, asked of %d instances: %d lookups\n", users, len(addresses), len(lookups)-early)
	if err := stops[0](ctx); err != nil {
		return err
	}
	addresses, stops = addresses[1:], stops[1:]
	if err := askAll(); err != nil {
		return err
	}
	fmt.Fprintf(out, "one instance has gone: %d lookups\n", len(lookups)-early)
	return nil
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(body), err
}

const about = "ringcache: three instances of a service on free ports of this machine, which keep a cache in their own memory.\n\n"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	fmt.Print(about)
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ringcache:", err)
		os.Exit(1)
	}
}
