package nats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/kvtest"
	"github.com/micro/go-platform/kv/nats"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestMain(m *testing.M) { leak.Main(m) }

func opener(backend kv.Option) func(testing.TB, ...kv.Option) kv.KV {
	return func(t testing.TB, opts ...kv.Option) kv.KV {
		t.Helper()
		store, err := kv.New(append(opts, backend)...)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}

func TestConformance(t *testing.T) {
	server := servertest.NATS(t)
	kvtest.Run(t, kvtest.Harness{
		Open: opener(nats.Backend(server.Addr())),
		Down: func(testing.TB) func() { server.Kill(); return server.Restart },
	})
}

func TestConformanceWithTheUsersConnection(t *testing.T) {
	server := servertest.SharedNATS(t)
	c := connect(t, server.Addr())
	if _, err := c.Request("$JS.API.INFO", nil, 5*time.Second); err != nil { // begins a goroutine of the connection's own
		t.Fatal(err)
	}
	kvtest.Run(t, kvtest.Harness{Open: opener(nats.On(engine.FromClient(c), nats.WithBucket("theirs")))})
	if c.IsClosed() {
		t.Error("Close closed the user's connection")
	}
}

func TestLinearizableOnOneServer(t *testing.T) {
	server := servertest.NATS(t)
	p := netfault.New(t, server.Addr())
	kvtest.Linearizable(t, func() kv.KV { return opener(nats.Backend(p.Addr()))(t) },
		kvtest.Chaos(2*time.Second), kvtest.Trouble(p.CutReplies, p.Reset, func() { server.Kill(); server.Restart() }))
}

// A request that is on its way while the connection breaks is never answered. Calls
// waited for that until their deadline.
func TestWhatTheServerCannotAnswerAnyMoreEnds(t *testing.T) {
	leak.Check(t)
	p := netfault.New(t, servertest.SharedNATS(t).Addr())
	store := opener(nats.Backend(p.Addr(), nats.WithBucket("broken")))(t, kv.WithTimeout(time.Minute))
	defer store.Close()
	list := func() error {
		for _, err := range store.List(t.Context(), "") {
			return err
		}
		return nil
	}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"the first call, which looks for the bucket", func() error { _, err := store.Get(t.Context(), "a"); return err }},
		{"List", list},
		{"Watch", func() error {
			for e, err := range store.Watch(t.Context(), "") {
				if err != nil || e.Kind == kv.EventSynced {
					return err
				}
			}
			return nil
		}},
	} {
		p.Hold(netfault.Replies)
		before := p.Counts().Requests
		ended := make(chan error, 1)
		go func() { ended <- c.call() }()
		for deadline := time.Now().Add(30 * time.Second); p.Counts().Requests == before; {
			if time.Now().After(deadline) {
				t.Fatalf("%s asks for nothing", c.name)
			}
			<-time.After(time.Millisecond)
		}
		p.Reset()
		p.Heal()
		select {
		case err := <-ended:
			if !errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", c.name, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s still waits for its answer", c.name)
		}
		for deadline := time.Now().Add(30 * time.Second); ; {
			err := list()
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("after %s: %v", c.name, err)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

func connect(t *testing.T, addr string) *gonats.Conn {
	t.Helper()
	c, err := gonats.Connect("nats://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// bucket is the same bucket for NATS' own client.
func bucket(t *testing.T, addr, name string) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(connect(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	b, err := js.KeyValue(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What one client writes, deletes and lets end, the other sees.
func TestTheBucketIsThatOfNATSOwnClients(t *testing.T) {
	server := servertest.SharedNATS(t)
	store := opener(nats.Backend(server.Addr(), nats.WithBucket("shared")))(t)
	defer store.Close()
	ctx := t.Context()
	for key, name := range map[string]string{"shop/cart/17": "shop.cart.17", "a.b": "a/b", "x y=": "x=20y=3D", "/": "=.=", "ü*>": "=C3=BC=2A=3E"} {
		if _, err := store.Put(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
		theirs := bucket(t, server.Addr(), "shared")
		if e, err := theirs.Get(ctx, name); err != nil || string(e.Value()) != key {
			t.Errorf("%s: their client has %v, %v", key, e, err)
		}
		if _, err := theirs.Put(ctx, name, []byte("theirs")); err != nil {
			t.Fatal(err)
		}
		if item, err := store.Get(ctx, key); err != nil || string(item.Value) != "theirs" {
			t.Errorf("%s: ours has %v, %v", key, item, err)
		}
		if err := theirs.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Get(ctx, key); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("%s after their Delete: %v", key, err)
		}
		if _, err := store.Put(ctx, key, []byte("again"), kv.IfAbsent()); err != nil {
			t.Errorf("%s IfAbsent after their Delete: %v", key, err)
		}
		if err := store.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Get(ctx, name); !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Errorf("%s after our Delete their client has %v", key, err)
		}
	}
	theirs := bucket(t, server.Addr(), "shared")
	for _, name := range []string{"odd=zz", "low=c3", "needless=41", "half=4"} { // theirs alone
		if _, err := theirs.Put(ctx, name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for item, err := range store.List(ctx, "") {
		t.Errorf("listed %q, %v, which is no key of ours", item.Key, err)
	}
}

// The server forgets what has ended, so that a bucket doesn't grow with what is
// gone.
func TestTheServerRemovesWhatHasEnded(t *testing.T) {
	server := servertest.SharedNATS(t)
	store := opener(nats.Backend(server.Addr(), nats.WithBucket("ends")))(t)
	defer store.Close()
	if _, err := store.Put(t.Context(), "a", make([]byte, 1000), kv.TTL(time.Second)); err != nil {
		t.Fatal(err)
	}
	theirs := bucket(t, server.Addr(), "ends")
	deadline := time.Now().Add(30 * time.Second)
	for {
		status, err := theirs.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if status.Bytes() < 500 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still there", status.Bytes())
		}
		<-time.After(100 * time.Millisecond)
	}
	if _, err := store.Put(t.Context(), "a", nil, kv.IfAbsent()); err != nil {
		t.Errorf("IfAbsent after that: %v", err)
	}
}

// A bucket that was made without TTLs works as far as it can.
func TestABucketWithoutTTLs(t *testing.T) {
	server := servertest.SharedNATS(t)
	js, err := jetstream.New(connect(t, server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "plain", MaxValueSize: 100}); err != nil {
		t.Fatal(err)
	}
	store := opener(nats.Backend(server.Addr(), nats.WithBucket("plain")))(t)
	defer store.Close()
	if _, err := store.Put(t.Context(), "a", nil, kv.TTL(time.Minute)); !errors.Is(err, kv.ErrUnsupported) {
		t.Errorf("with a TTL: %v, want ErrUnsupported", err)
	}
	if _, err := store.Get(t.Context(), "a"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("and then: %v, want ErrNotFound", err)
	}
	if _, err := store.Put(t.Context(), "a", make([]byte, 1000)); !errors.Is(err, kv.ErrTooLarge) || errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("above the bucket's limit: %v, want ErrTooLarge alone", err)
	}
	if _, err := store.Put(t.Context(), "a", []byte("1")); err != nil {
		t.Error(err)
	}
	if err := store.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if _, err := store.Get(t.Context(), "a"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("after Delete: %v", err)
	}
}

// What the server refuses was not done, also for a reason that means nothing to this
// package.
func TestBucketsThatRefuse(t *testing.T) {
	server := servertest.SharedNATS(t)
	js, err := jetstream.New(connect(t, server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		limit int64
		seal  bool
		size  int
	}{"full": {1000, false, 2000}, "sealed": {1000, true, 1}} {
		bucket := servertest.Namespace(t) + name
		if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bucket, MaxBytes: c.limit}); err != nil {
			t.Fatal(err)
		}
		store := opener(nats.Backend(server.Addr(), nats.WithBucket(bucket)))(t)
		defer store.Close()
		if _, err := store.Put(t.Context(), "a", []byte("1")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.seal {
			s, err := js.Stream(t.Context(), "KV_"+bucket)
			if err != nil {
				t.Fatal(err)
			}
			config := s.CachedInfo().Config
			config.Sealed = true
			if _, err := js.UpdateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Put(t.Context(), "a", make([]byte, c.size)); !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrUnknownOutcome) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		if item, err := store.Get(t.Context(), "a"); err != nil || string(item.Value) != "1" {
			t.Errorf("%s: then %.20q, %v", name, item.Value, err)
		}
	}
}

// The bucket is looked for by the first call, and after an error that says that it is
// gone, not before each.
func TestTheBucketIsLookedForOnce(t *testing.T) {
	server := servertest.SharedNATS(t)
	js, err := jetstream.New(connect(t, server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "once", MaxValueSize: 100}); err != nil {
		t.Fatal(err)
	}
	p := netfault.New(t, server.Addr())
	store := opener(nats.Backend(p.Addr(), nats.WithBucket("once")))(t)
	defer store.Close()
	const calls = 100
	for name, call := range map[string]func() error{
		"get":                   func() error { _, err := store.Get(t.Context(), "none"); return err },
		"put":                   func() error { _, err := store.Put(t.Context(), "a", nil); return err },
		"put what is too large": func() error { _, err := store.Put(t.Context(), "a", make([]byte, 1000)); return err },
	} {
		first := call()
		before := p.Counts().Requests
		for range calls {
			if err := call(); fmt.Sprint(err) != fmt.Sprint(first) {
				t.Fatalf("%s: %v, and before %v", name, err, first)
			}
		}
		if n := p.Counts().Requests - before; n > calls*3/2 {
			t.Errorf("%s: %d requests for %d calls", name, n, calls)
		}
	}
}

// A bucket that somebody deletes is created again.
func TestADeletedBucketComesBack(t *testing.T) {
	server := servertest.SharedNATS(t)
	store := opener(nats.Backend(server.Addr(), nats.WithBucket("doomed")))(t)
	defer store.Close()
	if _, err := store.Put(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(connect(t, server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(t.Context(), "doomed"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "a", nil); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("right after it: %v, want ErrUnavailable", err)
	}
	if _, err := store.Put(t.Context(), "a", nil); err != nil {
		t.Errorf("and then: %v", err)
	}
}

func TestCredentialsAndTLS(t *testing.T) {
	server := servertest.NATS(t, servertest.WithArgs("--user", "bob", "--pass", "p@ss"))
	for before, c := range map[string]struct {
		opts []engine.Option
		ok   bool
	}{
		"bob:p%40ss@": {nil, true},
		"":            {[]engine.Option{engine.WithAuth("bob", "p@ss")}, true},
		"bob:wrong@":  {nil, false},
		"eve@":        {nil, false},
		"bob:p@ss@":   {[]engine.Option{engine.WithToken("other")}, false},
	} {
		e, err := engine.Open("nats://"+before+server.Addr(), c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		store, err := kv.New(nats.On(e), kv.WithDialTimeout(30*time.Second))
		if c.ok != (err == nil) || err != nil && !errors.Is(err, kv.ErrDenied) {
			t.Errorf("%q: %v", before, err)
		}
		if err != nil && strings.Contains(err.Error(), "wrong") {
			t.Errorf("the error repeats the password: %v", err)
		}
		if err == nil {
			store.Close()
		}
	}
	certs := servertest.NewCerts(t)
	secure := servertest.NATS(t, servertest.WithTLS(certs))
	e, err := engine.Open(secure.Addr(), engine.WithTLS(certs.Client))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	store, err := kv.New(nats.On(e))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(context.Background(), "a", nil); err != nil {
		t.Error(err)
	}
	store.Close()
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, opt := range map[string]kv.Option{
		"no address":      nats.Backend(""),
		"no connection":   nats.On(engine.FromClient(nil)),
		"no engine":       nats.On(nil),
		"a path":          nats.Backend("nats://h:1/x"),
		"a scheme":        nats.Backend("redis://h:1"),
		"no bucket":       nats.Backend("h:1", nats.WithBucket("")),
		"a bucket's name": nats.Backend("h:1", nats.WithBucket("a.b")),
		"a long name":     nats.Backend("h:1", nats.WithBucket(strings.Repeat("x", 201))),
		"two replicas":    nats.Backend("h:1", nats.WithReplicas(2)),
		"nil option":      nats.Backend("h:1", nil),
	} {
		if store, err := kv.New(opt, kv.WithLazy()); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: got %v, %v", name, store, err)
		}
	}
	if _, err := kv.New(nats.Backend("127.0.0.1:1"), kv.WithDialTimeout(500*time.Millisecond)); !errors.Is(err, kv.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("no server: %v, want ErrUnavailable with the address", err)
	}
	store, err := kv.New(nats.Backend("127.0.0.1:1", nats.WithBucket(strings.Repeat("x", 200)), nats.WithReplicas(3)), kv.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
}
