package platform_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/ring"
	"github.com/micro/go-platform/log"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

var ringKey = []byte("a secret of the instances")

// member is the role of an instance with a ring: the registry's address, the
// namespace, the instance's id, and its protocol. For each line "put KEY VALUE" or
// "get KEY" it prints what that came to.
func member(args []string) error {
	m := ring.Member(ring.WithKey(ringKey))
	app, err := platform.New("shop", platform.WithInstance(args[2]), platform.WithHost("127.0.0.1"), platform.WithRing(m),
		platform.WithLog(log.ToWriter(os.Stderr, log.JSON())), platform.WithDiscovery(redis.Backend(args[0]), discovery.WithNamespace(args[1]), discovery.WithTTL(deployTTL)))
	if err != nil {
		return err
	}
	go func() {
		for {
			var op, key, value string
			if _, err := fmt.Scanln(&op, &key, &value); err != nil {
				return
			}
			fmt.Println(served(app.KV(), m, op, key, value))
		}
	}()
	server := platform.HTTP("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, args[2]) }))
	if args[3] == "grpc" {
		server = wgrpc.NewServer("127.0.0.1:0", func(s grpc.ServiceRegistrar) {})
	}
	return app.Run(context.Background(), server)
}

func served(store kv.KV, m *ring.Membership, op, key, value string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	switch op {
	case "put":
		_, err := store.Put(ctx, key, []byte(value))
		return fmt.Sprint(err)
	case "settled":
		return fmt.Sprint(m.Node().Settled(ctx))
	}
	item, err := store.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return "not found"
	}
	if err != nil {
		return err.Error()
	}
	return string(item.Value)
}

// TestRingOfFiveProcesses: instances of one service, three of HTTP and two of
// gRPC, are a ring by nothing but their own registrations, on their own ports.
// Instances of another version, which has no ring, are no part of it.
func TestRingOfFiveProcesses(t *testing.T) {
	addr, ns := servertest.SharedRedis(t).Addr(), servertest.Namespace(t)
	registry, err := discovery.New(redis.Backend(addr), discovery.WithNamespace(ns))
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	const old = 6 // instances without a ring: most
	for i := range old {
		in, err := registry.Register(t.Context(), discovery.Instance{Service: "shop", ID: fmt.Sprint("old-", i), Address: fmt.Sprint("127.0.0.1:", i+1)})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Deregister(context.Background())
	}

	all := map[string]*servertest.Process{}
	protocols := map[string]string{"a": "http", "b": "http", "c": "http", "d": "grpc", "e": "grpc"}
	for id, protocol := range protocols {
		all[id] = servertest.Child(t, "member", addr, ns, id, protocol)
	}
	await := func(want map[string]string) discovery.Snapshot {
		t.Helper()
		for s, err := range registry.Watch(t.Context(), "shop") {
			if err != nil {
				t.Fatal(err)
			}
			up := 0
			for _, in := range s.Instances {
				if want[in.ID] != "" && in.Status == discovery.Up {
					up++
				}
			}
			if up == len(want) && len(s.Instances) == len(want)+old {
				return s
			}
		}
		t.Fatal("the registry is closed")
		return discovery.Snapshot{}
	}
	ask := func(id, line string) string {
		all[id].Send(line)
		return all[id].Line()
	}
	s := await(protocols)
	for id := range protocols {
		if got := ask(id, "settled x x"); got != "<nil>" {
			t.Fatalf("%s is not settled: %s", id, got)
		}
	}
	for id := range protocols {
		if got := ask(id, "put by-"+id+" v"+id); got != "<nil>" {
			t.Fatalf("put by %s: %s", id, got)
		}
	}
	for reader := range protocols {
		for writer := range protocols {
			if got := ask(reader, "get by-"+writer+" x"); got != "v"+writer {
				t.Errorf("%s reads what %s wrote: %q", reader, writer, got)
			}
		}
	}

	// The ports still serve the service.
	for _, in := range s.Instances {
		switch protocols[in.ID] {
		case "http":
			if _, body := get(t, "http://"+in.Address+"/"); body != in.ID {
				t.Errorf("GET of %s: %q", in.ID, body)
			}
		case "grpc":
			serving(t, in.Address)
		}
	}

	// One stops as its platform has it, one is killed: all others have everything.
	all["a"].Terminate()
	if err := all["a"].Wait(); err != nil {
		t.Errorf("a: %v", err)
	}
	delete(protocols, "a")
	await(protocols)
	for id := range protocols {
		if got := ask(id, "settled x x"); got != "<nil>" {
			t.Fatalf("%s is not settled: %s", id, got)
		}
	}
	all["d"].Kill()
	delete(protocols, "d")
	await(protocols)
	for reader := range protocols {
		for _, writer := range []string{"a", "b", "c", "d", "e"} {
			if got := ask(reader, "get by-"+writer+" x"); got != "v"+writer {
				t.Errorf("%s reads what %s wrote, after two have gone: %q", reader, writer, got)
			}
		}
	}
}

func serving(t *testing.T, addr string) {
	t.Helper()
	cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if r, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("a call of %s: %v, %v", addr, r, err)
	}
}

// TestRingOverTLS has two instances meet on a port that encrypts, with one owner
// a key: what the first that stops had is with the other.
func TestRingOverTLS(t *testing.T) {
	certs := servertest.NewCerts(t)
	addr, ns := servertest.SharedRedis(t).Addr(), servertest.Namespace(t)
	open := func(id string) *running {
		r := made(t, []platform.Option{platform.WithInstance(id), platform.WithHost("127.0.0.1"),
			platform.WithRing(ring.Member(ring.WithKey(ringKey), ring.WithTLS(certs.Client), ring.WithReplicas(1))),
			platform.WithDiscovery(redis.Backend(addr), discovery.WithNamespace(ns))})
		r.start(t, platform.HTTP("127.0.0.1:0", hello(), func(s *http.Server) { s.TLSConfig = certs.Server.Clone() }))
		return r
	}
	a, b := open("a"), open("b")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 50 {
		_, err := a.KV().Put(ctx, fmt.Sprint(i), []byte("v"))
		for errors.Is(err, kv.ErrUnknownOutcome) { // the two are still meeting
			_, err = a.KV().Put(ctx, fmt.Sprint(i), []byte("v"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := a.end(t); err != nil {
		t.Errorf("stopping: %v", err)
	}
	for i := range 50 {
		if item, err := b.KV().Get(ctx, fmt.Sprint(i)); err != nil || string(item.Value) != "v" {
			t.Errorf("%d: %q, %v", i, item.Value, err)
		}
	}
	if err := b.end(t); err != nil { // there is nobody to hand over to
		t.Errorf("stopping the last: %v", err)
	}
	if logs := a.logs.String() + b.logs.String(); strings.Contains(logs, "left the ring") {
		t.Errorf("the log:\n%s", logs)
	}
}

// seenRing notes which way it is served.
type seenRing struct {
	oddRing
	ways chan string
}

func (r seenRing) Handler(next http.Handler) http.Handler { r.ways <- "handler"; return next }
func (r seenRing) Listener(l net.Listener) net.Listener   { r.ways <- "listener"; return l }

// Peers are served by the handler of a server of HTTP, which may speak TLS, and by the
// listener of any other; a server under another name has no part in it.
func TestWhereARingIsServed(t *testing.T) {
	for want, s := range map[string]platform.Server{
		"handler":  platform.HTTP("127.0.0.1:0", hello()),
		"listener": oddServer{[]func(net.Listener) error{func(l net.Listener) error { _, err := l.Accept(); return err }}, func() error { return nil }},
	} {
		t.Run(want, func(t *testing.T) {
			memory, err := kv.NewMemoryDriver()
			if err != nil {
				t.Fatal(err)
			}
			ring := seenRing{oddRing{[]kv.Driver{memory}, func() error { return nil }}, make(chan string, 10)}
			r := start(t, []platform.Option{platform.WithRing(ring)}, s, platform.As("greeter.admin", platform.HTTP("127.0.0.1:0", hello())))
			r.stop()
			if err := wait(t, r.done); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			close(ring.ways)
			var got []string
			for way := range ring.ways {
				got = append(got, way)
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("served by %v, want the %s once", got, want)
			}
		})
	}
}

// TestRingWantsAServerOfItsOwn: where nothing is registered under the service's
// name, nobody could find it.
func TestRingWantsAServerOfItsOwn(t *testing.T) {
	if _, err := platform.New("shop", platform.WithRing(nil)); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("a nil ring: %v", err)
	}
	if _, err := platform.New("shop", platform.WithRing(ring.Member())); !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), "key") {
		t.Errorf("a ring without a key: %v", err)
	}
	m := ring.Member(ring.WithKey(ringKey))
	app, err := platform.New("shop", platform.WithRing(m))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := platform.New("shop", platform.WithRing(m)); !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), "joined") {
		t.Errorf("a ring of two programs: %v", err)
	}
	err = app.Run(t.Context(), platform.As("shop.http", platform.HTTP("127.0.0.1:0", hello())))
	if !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), "ring") {
		t.Errorf("Run without a server of the service: %v", err)
	}
}
