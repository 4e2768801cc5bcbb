// Command kubernetes is a service that needs nothing but the cluster it runs in:
// its neighbours are the endpoints of its Service, its configuration is a
// ConfigMap, live, and its instances elect a leader on a Lease.
//
// deploy/kubernetes/greeter.yaml has all that it needs, with the least rights.
// From outside a cluster:
//
//	go run ./examples/kubernetes -cluster "kubeconfig:?namespace=default"
package main

// snippet: service
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
	configkubernetes "github.com/micro/go-platform/config/kubernetes"
	discoverykubernetes "github.com/micro/go-platform/discovery/kubernetes"
	"github.com/micro/go-platform/engine/kubernetes"
	dsync "github.com/micro/go-platform/sync"
	synckubernetes "github.com/micro/go-platform/sync/kubernetes"
)

func run(ctx context.Context, addr, cluster, instance string) error {
	e, err := kubernetes.Open(cluster)
	if err != nil {
		return err
	}
	defer e.Close() // after what stands on it
	app, err := platform.New("greeter", platform.WithVersion("1.2.0"), platform.WithInstance(instance),
		platform.WithStopTimeout(20*time.Second), // with preStop less than terminationGracePeriodSeconds
		platform.WithDiscovery(discoverykubernetes.On(e)),
		platform.WithConfig(config.WithSource(configkubernetes.On(e, "configmap/greeter"))),
		platform.WithSync(synckubernetes.On(e, synckubernetes.WithElection("greeter", "greeter"))))
	if err != nil {
		return err
	}
	leader, err := app.Sync().Leader("greeter", dsync.Owner(instance))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	lead := platform.Job(func(ctx context.Context) error { // resigns when the process is to stop
		return dsync.RunElected(ctx, leader, func(ctx context.Context, token uint64) error {
			app.Logger("greeter").Info("leads", "token", token)
			<-ctx.Done() // what one of them has to do
			return ctx.Err()
		})
	})
	return app.Run(ctx, platform.HTTP(addr, routes(app, leader)), lead)
}

func routes(app *platform.App, leader dsync.Leader) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s, %s\n", app.Config().Get("greeting").String("Hello"), r.PathValue("name"))
	})
	mux.HandleFunc("GET /neighbours", func(rw http.ResponseWriter, r *http.Request) {
		s, err := app.Discovery().Get(r.Context(), "greeter")
		fmt.Fprintln(rw, s.State, err)
		for _, in := range s.Instances {
			fmt.Fprintln(rw, in.ID, in.Address, in.Zone, in.Status)
		}
	})
	mux.HandleFunc("GET /leads", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, leader.Status()) })
	return mux
}

// end snippet

// about says what runs, and what to try next.
func about(addr, cluster string) string {
	if addr != "" && addr[0] == ':' {
		addr = "127.0.0.1" + addr
	}
	return "greeter, a service that needs nothing but Kubernetes (" + cluster + "), at http://" + addr + "\ntry:\n" +
		"  curl http://" + addr + "/hello/Ada\n" +
		"  curl http://" + addr + "/neighbours\n" +
		"  curl http://" + addr + "/leads\n" +
		"Ctrl-C drains it and ends it.\n"
}

func main() {
	addr := flag.String("addr", ":8080", "where to listen")
	cluster := flag.String("cluster", "in-cluster", "the API server: in-cluster, kubeconfig:, or a URL")
	host, _ := os.Hostname() // the pod's name
	instance := flag.String("instance", host, "the id of this instance")
	flag.Parse()
	fmt.Fprint(os.Stderr, about(*addr, *cluster))
	if err := run(context.Background(), *addr, *cluster, *instance); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
