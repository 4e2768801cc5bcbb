package ring_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/ring"
	platformlog "github.com/micro/go-platform/log"
	"google.golang.org/grpc"
)

// Two instances of a service share a store without any server but their own.
func Example() {
	ctx := context.Background()
	d, err := discovery.New() // of one process; Consul, etcd or Redis between several
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()

	secret := []byte("from the configuration")
	start := func(id string) (store kv.KV, stop func()) {
		node, err := ring.New(d, "greeter", id, ring.WithKey(secret))
		if err != nil {
			log.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle("/.ring", node)
		server := httptest.NewServer(mux)
		_, err = d.Register(ctx, discovery.Instance{Service: "greeter", ID: id, Address: server.Listener.Addr().String()})
		if err != nil {
			log.Fatal(err)
		}
		store, err = kv.New(ring.Backend(node))
		if err != nil {
			log.Fatal(err)
		}
		return store, func() {
			store.Close()
			node.Close()
			server.Close()
		}
	}
	here, stop := start("greeter-1")
	defer stop()
	there, stop := start("greeter-2")
	defer stop()

	rev, err := here.Put(ctx, "users/1", []byte("Ada"))
	if err != nil {
		log.Fatal(err)
	}
	item, err := there.Get(ctx, "users/1")
	fmt.Printf("%s %v %v\n", item.Value, item.Revision == rev, err)
	// Output: Ada true <nil>
}

func ExampleBackend() {
	d, _ := discovery.New()
	defer d.Close()
	// A node that is not registered owns nothing; WithLazy opens the store
	// before anybody does.
	node, err := ring.New(d, "greeter", "reader", ring.WithKey([]byte("from the configuration")))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	store, err := kv.New(ring.Backend(node), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	f := store.Features()
	fmt.Println("shared:", f.Shared, "evicts:", f.Evicts, "durable:", f.Durable, "linearizable:", f.Linearizable)
	// Output: shared: true evicts: true durable: false linearizable: false
}

func ExampleNode_Settled() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	node, err := ring.New(d, "greeter", "greeter-1", ring.WithKey([]byte("from the configuration")))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	server := httptest.NewServer(node) // a server of its own, for the example
	defer server.Close()
	d.Register(ctx, discovery.Instance{Service: "greeter", ID: "greeter-1", Address: server.Listener.Addr().String()})
	fmt.Println(node.Settled(ctx))
	// Output: <nil>
}

// A server that mounts no handlers, such as a *grpc.Server, serves on the
// listener of the node.
func ExampleNode_Listener() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	node, err := ring.New(d, "greeter", "greeter-1", ring.WithKey([]byte("from the configuration")))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	go server.Serve(node.Listener(l))
	defer server.Stop()
	d.Register(ctx, discovery.Instance{Service: "greeter", ID: "greeter-1", Address: l.Addr().String()})
	fmt.Println(node.Settled(ctx))
	// Output: <nil>
}

// In a program of package platform the ring needs nothing but its key.
func ExampleMember() {
	app, err := platform.New("greeter", platform.WithRing(ring.Member(ring.WithKey([]byte("from the configuration")))),
		platform.WithLog(platformlog.ToWriter(io.Discard, platformlog.JSON())))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { // the program, beside its server
		defer stop()
		if _, err := app.KV().Put(ctx, "users/1", []byte("Ada")); err != nil {
			log.Fatal(err)
		}
		item, err := app.KV().Get(ctx, "users/1")
		fmt.Printf("%s %v\n", item.Value, err)
	}()
	if err := app.Run(ctx, platform.HTTP("127.0.0.1:0", http.NotFoundHandler())); err != nil {
		log.Fatal(err)
	}
	// Output: Ada <nil>
}
