package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	"github.com/micro/go-platform/config/kubernetes"
	engines "github.com/micro/go-platform/engine"
	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/netfault"
)

// resolver is one of a service account that may do so with Secrets, behind a
// proxy.
func (c *cluster) resolver(account string, verbs ...string) (*kubernetes.Resolver, *netfault.Proxy) {
	c.t.Helper()
	p := netfault.New(c.t, c.k.Addr())
	e, err := engine.Open(c.reader(p.Addr(), account, "secrets", verbs))
	if err != nil {
		c.t.Fatal(err)
	}
	r := kubernetes.NewResolver(e)
	c.t.Cleanup(func() {
		if err := errors.Join(r.Close(), r.Close(), e.Close()); err != nil {
			c.t.Error(err)
		}
	})
	return r, p
}

func TestReferencesFollowARotationAndAreShownNowhere(t *testing.T) {
	c := newCluster(t)
	c.put("secrets", "db", map[string]string{"password": "first\n", "user": "app"}, "")
	r, _ := c.resolver("watcher", "get", "list", "watch")
	doc := config.Memory("app", []byte(`{"dsn": "postgres://${k8s:db#user}:${k8s:`+c.ns+`/db#password}@db/shop"}`))
	cfg := open(t, config.WithSource(doc), config.WithResolver("k8s", r, config.ResolveEvery(50*time.Millisecond)))
	if got := cfg.Get("dsn").String(""); got != "postgres://app:first@db/shop" {
		t.Fatalf("got %q", got)
	}
	c.put("secrets", "db", map[string]string{"password": "second", "user": "app"}, "")
	configtest.Eventually(t, 30*time.Second, "the rotation", func() bool { return cfg.Get("dsn").String("") == "postgres://app:second@db/shop" })
	if out := cfg.Snapshot().String() + fmt.Sprint(cfg.Health()); strings.Contains(out, "second") {
		t.Errorf("shown: %s", out)
	}
	c.delete("secrets", "db")
	configtest.Eventually(t, 30*time.Second, "Health says that it is gone", func() bool { return errors.Is(cfg.Health().Err(), config.ErrNotFound) })
	if got := cfg.Get("dsn").String(""); got != "postgres://app:second@db/shop" {
		t.Errorf("after the deletion: got %q, want the last value", got)
	}
}

func TestResolve(t *testing.T) {
	c := newCluster(t)
	c.put("secrets", "db", map[string]string{"password": "p", "line": "x\r\n\n", "tls.crt": "cert"}, "")
	for account, verbs := range map[string][]string{"watcher": {"get", "list", "watch"}, "getter": {"get"}} {
		r, _ := c.resolver(account, verbs...)
		for ref, want := range map[string]any{
			"db#password": "p", c.ns + "/db#password": "p", "db#tls.crt": "cert", "db#line": "x\r\n",
			"db#none": config.ErrNotFound, "none#password": config.ErrNotFound,
			"db": config.ErrInvalid, "db#": config.ErrInvalid, "#password": config.ErrInvalid, "a/b/c#d": config.ErrInvalid, "A_b#c": config.ErrInvalid, "/db#password": config.ErrInvalid, "db#a#b": config.ErrInvalid,
			"kube-system/db#password": config.ErrDenied,
		} {
			for range 2 {
				got, err := r.Resolve(t.Context(), ref)
				if kind, ok := want.(error); ok && (!errors.Is(err, kind) || got != "") || !ok && (err != nil || got != want) {
					t.Errorf("%s: Resolve(%q) = %q, %v, want %v", account, ref, got, err, want)
				}
			}
		}
	}
}

// Asked a thousand times, the API server is asked next to nothing.
func TestResolvingAgainIsAReadOfMemory(t *testing.T) {
	c := newCluster(t)
	c.put("secrets", "db", map[string]string{"a": "1", "b": "2"}, "")
	r, p := c.resolver("watcher", "get", "list", "watch")
	if _, err := r.Resolve(t.Context(), "db#a"); err != nil {
		t.Fatal(err)
	}
	before := p.Counts().Requests
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 100 {
				if got, err := r.Resolve(t.Context(), "db#b"); got != "2" {
					t.Errorf("got %q, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := p.Counts().Requests - before; n > 5 {
		t.Errorf("1000 references cost %d requests", n)
	}
}

// An outage keeps values for a while, and what was never seen is unavailable,
// within the context.
func TestResolveDuringAnOutage(t *testing.T) {
	c := newCluster(t)
	c.put("secrets", "db", map[string]string{"a": "1"}, "")
	r, p := c.resolver("watcher", "get", "list", "watch")
	if _, err := r.Resolve(t.Context(), "db#a"); err != nil {
		t.Fatal(err)
	}
	p.Refuse()
	p.Reset()
	if got, err := r.Resolve(t.Context(), "db#a"); got != "1" {
		t.Errorf("during an outage: %q, %v, want the last value", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := r.Resolve(ctx, "fresh#a"); !errors.Is(err, config.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("what was never seen: %v", err)
	}
	p.Heal()
	c.put("secrets", "db", map[string]string{"a": "2"}, "")
	configtest.Eventually(t, 30*time.Second, "it recovers", func() bool {
		got, _ := r.Resolve(t.Context(), "db#a")
		return got == "2"
	})
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, ref := range []string{"new#a", "db#a"} {
		if _, err := r.Resolve(t.Context(), ref); !errors.Is(err, config.ErrClosed) {
			t.Errorf("%s after Close: %v", ref, err)
		}
	}
	var none *engine.Engine
	if _, err := kubernetes.NewResolver(none).Resolve(t.Context(), "db#a"); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("without an engine: %v", err)
	}
}

// A program that names engines by URLs reads an object of the cluster too, over
// the engine that others of the same URL share.
func TestURL(t *testing.T) {
	c := newCluster(t)
	c.put("configmaps", "app", map[string]string{"n": "1"}, "")
	var set engines.Set
	defer set.Close()
	opts, err := engines.Options(&set, c.admin(), kubernetes.URL("configmap/app"))
	if err != nil {
		t.Fatal(err)
	}
	if got := open(t, opts...).Get("n").Int(0); got != 1 {
		t.Errorf("got %d", got)
	}
}
