package kv_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	configkv "github.com/micro/go-platform/config/kv"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/consul"
	"github.com/micro/go-platform/kv/etcd"
	kvnats "github.com/micro/go-platform/kv/nats"
	"github.com/micro/go-platform/kv/redis"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestKVSourceConforms(t *testing.T) {
	for _, backend := range []struct {
		name string
		opts func(t *testing.T) []kv.Option
	}{
		{"memory", func(*testing.T) []kv.Option { return nil }},
		{"redis", func(t *testing.T) []kv.Option {
			return []kv.Option{redis.Backend(servertest.SharedRedis(t).Addr()), kv.WithNamespace(servertest.Namespace(t))}
		}},
		{"nats", func(t *testing.T) []kv.Option {
			return []kv.Option{kvnats.Backend(servertest.SharedNATS(t).Addr()), kv.WithNamespace(servertest.Namespace(t))}
		}},
		{"etcd", func(t *testing.T) []kv.Option {
			return []kv.Option{etcd.Backend(servertest.SharedEtcd(t).Addr()), kv.WithNamespace(servertest.Namespace(t))}
		}},
		{"consul", func(t *testing.T) []kv.Option {
			return []kv.Option{consul.Backend(servertest.SharedConsul(t).Addr()), kv.WithNamespace(servertest.Namespace(t))}
		}},
	} {
		for _, shape := range []struct{ name, key, doc string }{{"a key", "app", "app"}, {"the keys below", "app/", "app/one"}} {
			t.Run(backend.name+", "+shape.name, func(t *testing.T) {
				configtest.Run(t, func(t *testing.T) configtest.Harness {
					store, err := kv.New(backend.opts(t)...)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { store.Close() })
					if _, err := store.Put(t.Context(), "apple", []byte("{another}")); err != nil { // a prefix of a key is not that key
						t.Fatal(err)
					}
					return configtest.Harness{
						Source: func() config.Source { return configkv.Source(store, shape.key) },
						Set: func(doc string) {
							if _, err := store.Put(t.Context(), shape.doc, []byte(doc)); err != nil {
								t.Fatal(err)
							}
						},
						Delete: func() { store.Delete(t.Context(), shape.doc) },
					}
				})
			})
		}
	}
}

func TestStoreThatIsClosedIsUnavailableNotASpin(t *testing.T) {
	store, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	store.Put(t.Context(), "app", []byte(`{"n":1}`))
	c, err := config.New(config.WithSource(configkv.Source(store, "app")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	store.Close()
	configtest.Eventually(t, 30*time.Second, "Health says so", func() bool { return !c.Health().OK })
	if c.Get("n").Int(0) != 1 {
		t.Errorf("n = %v", c.Get("n"))
	}
}

func TestBadArgumentsAreErrorsOfNew(t *testing.T) {
	store, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for name, s := range map[string]config.Source{
		"nil store": configkv.Source(nil, "a"), "nil pointer": configkv.Source((*struct{ kv.KV })(nil), "a/"), "no key": configkv.Source(store, ""), "option": configkv.Source(store, "a", nil), "format": configkv.Source(store, "a", configkv.WithFormat(nil)),
	} {
		if _, err := config.New(config.WithSource(s)); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func ExampleSource() {
	store, err := kv.New() // or kv.New(redis.Backend("127.0.0.1:6379"))
	if err != nil {
		panic(err)
	}
	defer store.Close()
	cfg, err := config.New(config.WithSource(configkv.Source(store, "config/orders"), config.Optional()))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("limit").Int(10))
	// Output: 10
}
