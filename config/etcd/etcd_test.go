package etcd_test

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	"github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/config/yaml"
	engine "github.com/micro/go-platform/engine/etcd"
	connetcd "github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestMain(m *testing.M) { leak.Main(m) }

func client(t *testing.T, addr string) *connetcd.Conn {
	c, err := connetcd.Open(connetcd.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func put(t *testing.T, c *connetcd.Conn, key, value string) {
	t.Helper()
	if _, err := c.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func TestEtcdSourceConforms(t *testing.T) {
	server := servertest.SharedEtcd(t)
	for name, suffix := range map[string]string{"a key": "app", "the keys below": "app/"} {
		t.Run(name, func(t *testing.T) {
			configtest.Run(t, func(t *testing.T) configtest.Harness {
				proxy := netfault.New(t, server.Addr())
				c := client(t, server.Addr())
				key := servertest.Namespace(t) + "/" + suffix
				doc := key
				if strings.HasSuffix(key, "/") {
					doc += "one"
				}
				return configtest.Harness{
					Source:       func() config.Source { return etcd.Source(proxy.Addr(), key) },
					Set:          func(v string) { put(t, c, doc, v) },
					Delete:       func() { c.Delete(t.Context(), doc) },
					Down:         func() { proxy.Refuse(); proxy.Reset() },
					Up:           proxy.Heal,
					Requests:     func() int { return proxy.Counts().Requests },
					Idle:         2 * time.Second,
					IdleRequests: 4, // chunks of bytes: acknowledgements and pings of HTTP/2
				}
			})
		})
	}
}

func TestEtcdKilledKeepsTheValuesAndHealthSaysSinceWhen(t *testing.T) {
	server := servertest.Etcd(t)
	c := client(t, server.Addr())
	put(t, c, "app", `{"n":1}`)
	saved := filepath.Join(t.TempDir(), "good.json")
	start := func(more ...config.Option) (config.Config, error) {
		return config.New(append(more, config.WithSource(etcd.Source(server.Addr(), "app"), config.Poll(time.Hour)),
			config.WithLastKnownGood(saved, time.Hour))...)
	}
	cfg, err := start()
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.Close()
	put(t, c, "app", `{"n":2}`)
	configtest.Eventually(t, 30*time.Second, "the change", func() bool { return cfg.Get("n").Int(0) == 2 })

	killed := time.Now()
	server.Kill()
	configtest.Eventually(t, 30*time.Second, "Health says that etcd is unavailable", func() bool { return errors.Is(cfg.Health().Err(), config.ErrUnavailable) })
	t.Logf("noticed after %v", time.Since(killed))
	h := cfg.Health().Sources[0]
	if h.Since.Before(killed) || h.Since.After(time.Now()) || h.LastGood.After(killed) || cfg.Get("n").Int(0) != 2 {
		t.Errorf("killed at %v: n = %v, health %+v", killed, cfg.Get("n"), h)
	}

	second, err := start(config.WithTimeout(2 * time.Second)) // another process, with etcd down
	if err != nil {
		t.Fatalf("start with etcd down: %v", err)
	}
	defer second.Close()
	if h := second.Health(); second.Get("n").Int(0) != 2 || h.OK || h.Restored.IsZero() || !h.Sources[0].Restored {
		t.Errorf("n = %v, health %+v", second.Get("n"), h)
	}

	server.Restart()
	for _, cfg := range []config.Config{cfg, second} {
		configtest.Eventually(t, 30*time.Second, "recovery", func() bool { return cfg.Health().OK })
	}
	put(t, c, "app", `{"n":3}`)
	for _, cfg := range []config.Config{cfg, second} {
		configtest.Eventually(t, 30*time.Second, "a change after the recovery", func() bool { return cfg.Get("n").Int(0) == 3 })
	}
}

func TestCompactionBetweenTwoWatchesLosesNothing(t *testing.T) {
	server := servertest.SharedEtcd(t)
	proxy := netfault.New(t, server.Addr())
	c := client(t, server.Addr())
	key := servertest.Namespace(t) + "/app"
	put(t, c, key, `{"n":1}`)
	cfg, err := config.New(config.WithSource(etcd.Source(proxy.Addr(), key)))
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.Close()
	proxy.Refuse()
	proxy.Reset()
	configtest.Eventually(t, 30*time.Second, "etcd is unavailable", func() bool { return !cfg.Health().OK })
	put(t, c, key, `{"n":2}`)
	resp, err := c.Put(t.Context(), key, `{"n":3}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(t.Context(), resp.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	proxy.Heal()
	configtest.Eventually(t, 30*time.Second, "the newest value", func() bool { return cfg.Get("n").Int(0) == 3 && cfg.Health().OK })
}

func TestKeysBelowMergeInTheOrderOfTheirNames(t *testing.T) {
	server := servertest.SharedEtcd(t)
	c := client(t, server.Addr())
	ns := servertest.Namespace(t)
	put(t, c, ns+"/20/deep", "b: 2")
	put(t, c, ns+"/10", "a: 1\nb: 1\n")
	put(t, c, ns+"x", "a: 99")
	e, err := engine.Open(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cfg, err := config.New(config.WithSource(etcd.On(e, ns+"/", etcd.WithFormat(yaml.Format{}))))
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.Close()
	if got := string(cfg.Snapshot().Bytes()); got != `{"a":1,"b":2}` {
		t.Errorf("got %s", got)
	}
	if o, _ := cfg.Snapshot().Origin("b"); o.Part != "20/deep" || o.Line != 1 || o.Revision == "" || o.Source != "etcd "+server.Addr()+" "+ns+"/" {
		t.Errorf("Origin of b: %+v", o)
	}
	r, err := c.Get(t.Context(), ns+"/10") // the one that was written last
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := cfg.Snapshot().Origin("a"); o.Part != "10" || o.Revision != strconv.FormatInt(r.Kvs[0].ModRevision, 10) {
		t.Errorf("Origin of a: %+v, want revision %d", o, r.Kvs[0].ModRevision)
	}
}

func TestBadArgumentsAreErrorsOfNew(t *testing.T) {
	for name, s := range map[string]config.Source{
		"no key": etcd.Source("127.0.0.1:1", ""), "address": etcd.Source("ftp://me:hunter2@x", "a"), "option": etcd.Source("127.0.0.1:1", "a", nil),
		"format": etcd.Source("127.0.0.1:1", "a", etcd.WithFormat(nil)), "engine": etcd.On(nil, "a"),
		"client": etcd.On(engine.FromClient(nil), "a"),
	} {
		_, err := config.New(config.WithSource(s))
		if !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	_, err := config.New(config.WithSource(etcd.Source("etcd://me:hunter2@127.0.0.1:1", "a")), config.WithTimeout(time.Second))
	if !errors.Is(err, config.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("nobody listens: got %v, want ErrUnavailable with the address", err)
	}
}
