package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micro/go-platform/config"
	configetcd "github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/db"
	dbelastic "github.com/micro/go-platform/db/elastic"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/engine"
	consulengine "github.com/micro/go-platform/engine/consul"
	etcdengine "github.com/micro/go-platform/engine/etcd"
	kafkaengine "github.com/micro/go-platform/engine/kafka"
	kubernetesengine "github.com/micro/go-platform/engine/kubernetes"
	natsengine "github.com/micro/go-platform/engine/nats"
	rabbitmqengine "github.com/micro/go-platform/engine/rabbitmq"
	redisengine "github.com/micro/go-platform/engine/redis"
	sqlengine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	eventnats "github.com/micro/go-platform/event/nats"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/sync"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	syncredis "github.com/micro/go-platform/sync/redis"
)

func TestMain(m *testing.M) { leak.Main(m) }

// program opens packages on backends that URLs name, uses kv and closes all but
// the set.
func program(ctx context.Context, s *engine.Set, urls map[string]string) (backend string, err error) {
	onKV, err1 := engine.Options(s, urls["kv"], kvredis.URL, kvetcd.URL, kvnats.URL, kvsql.URL, memcached.URL)
	onSync, err2 := engine.Options(s, urls["sync"], syncredis.URL, syncetcd.URL)
	onEvent, err3 := engine.Options(s, urls["event"], eventredis.URL, eventnats.URL, eventsql.URL)
	onDB, err4 := engine.Options(s, urls["db"], dbsql.URL, dbelastic.URL)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return "", err
	}
	store, err1 := kv.New(onKV...)
	locks, err2 := sync.New(onSync...)
	stream, err3 := event.New(onEvent...)
	records, err4 := db.New(onDB...)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return "", err
	}
	_, err = store.Put(ctx, "k", []byte("v"))
	return store.Features().Backend, errors.Join(err, store.Close(), locks.Close(), stream.Close(ctx), records.Close())
}

func TestURLsPickTheBackend(t *testing.T) {
	leak.Check(t)
	redis, nats := netfault.New(t, servertest.SharedRedis(t).Addr()), netfault.New(t, servertest.SharedNATS(t).Addr())
	file := "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	for name, c := range map[string]struct {
		urls    map[string]string
		backend string
		made    func() int // connections
		want    int
	}{
		"none":           {nil, "memory", nil, 0},
		"memory":         {map[string]string{"kv": "memory:", "sync": "memory://", "event": "MEMORY:"}, "memory", nil, 0},
		"redis for all":  {map[string]string{"kv": "redis://" + redis.Addr(), "sync": "redis://" + redis.Addr(), "event": "redis://" + redis.Addr()}, "redis", func() int { return redis.Counts().Accepted }, 1},
		"NATS for both":  {map[string]string{"kv": "nats://" + nats.Addr(), "event": "nats://" + nats.Addr()}, "nats", func() int { return nats.Counts().Accepted }, 1},
		"SQLite for all": {map[string]string{"kv": file, "event": file, "db": file}, "sqlite", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s engine.Set
			for range 2 { // a second program on the same set uses the same engines
				backend, err := program(t.Context(), &s, c.urls)
				if err != nil || backend != c.backend {
					t.Fatalf("kv on %q, %v, want %q", backend, err, c.backend)
				}
			}
			if c.made != nil && c.made() != c.want {
				t.Errorf("%d connections were made, want %d", c.made(), c.want)
			}
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Another URL of the same server is another engine.
func TestOnlyEqualURLsShare(t *testing.T) {
	leak.Check(t)
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	var s engine.Set
	defer s.Close()
	for _, urls := range []map[string]string{
		{"kv": "redis://" + p.Addr() + "/1", "sync": "redis://" + p.Addr() + "/2"},
		{"kv": "redis://" + p.Addr() + "/2", "sync": "redis://" + p.Addr() + "/1"},
	} {
		if _, err := program(t.Context(), &s, urls); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.Counts().Accepted; n != 2 {
		t.Errorf("%d connections for two databases, want 2", n)
	}
}

func TestURLsThatNoBackendTakes(t *testing.T) {
	var s engine.Set
	defer s.Close()
	kvOptions := func(url string) error {
		_, err := engine.Options(&s, url, kvredis.URL, kvsql.URL)
		return err
	}
	for url, want := range map[string]string{
		"etcd://u:s3cret@h":    "scheme of memory, redis, rediss, redis+cluster, rediss+cluster, redis+sentinel, rediss+sentinel, postgres, postgresql, mysql, mariadb, sqlite",
		"127.0.0.1:6379":       "scheme of memory, redis",
		"u:s3cret@h":           "scheme of memory, redis",
		"://":                  "scheme of memory, redis",
		"redis":                "scheme of memory, redis",
		"redis://u:s3cret@h:x": "malformed address",
		"redis://h/nodb":       `database "nodb"`,
		"sqlite:":              "empty address",
	} {
		if err := kvOptions(url); !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, want ErrInvalid with %q and without the password", url, err, want)
		}
	}
	if _, err := engine.Options(&s, "redis://h", kvredis.URL, nil); err != nil {
		t.Errorf("a nil backend behind the one that takes the URL: %v", err)
	}
	if _, err := engine.Options(&s, "x://h", kvredis.URL, nil); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("a nil backend: %v, want ErrInvalid", err)
	}
	if _, err := engine.Options(nil, "", kvredis.URL); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("a nil set: %v, want ErrInvalid", err)
	}
	s.Close()
	if err := kvOptions("redis://h"); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a closed set: %v, want ErrClosed", err)
	}
}

// Each engine has its function.
func TestEachEngineTakesItsURLs(t *testing.T) {
	var s engine.Set
	defer s.Close()
	for _, url := range []string{"redis://h", "etcds://h", "consul://h", "nats://h", "sqlite:x.db", "kafka://h", "amqp://u:p@h", "kubernetes://h:1"} {
		c, err := engine.Options(&s, url,
			alone(redisengine.URL), alone(etcdengine.URL), alone(consulengine.URL), alone(natsengine.URL), alone(sqlengine.URL), alone(kafkaengine.URL), alone(rabbitmqengine.URL), alone(kubernetesengine.URL))
		if err != nil || len(c) != 1 {
			t.Errorf("%s: %v, %v", url, c, err)
		}
	}
}

// ending is an engine that says when it is closed, and may not do so well.
type ending struct {
	url    string
	closed *[]string
	err    error
}

func (e ending) Close() error {
	*e.closed = append(*e.closed, e.url)
	return e.err
}

// All engines of a set are closed, the newest first, and what went wrong is said.
func TestClosingASetClosesAll(t *testing.T) {
	stuck := errors.New("stuck")
	for name, c := range map[string]struct{ fails, want error }{"well": {nil, nil}, "one fails": {stuck, stuck}} {
		t.Run(name, func(t *testing.T) {
			var s engine.Set
			var closed []string
			for _, url := range []string{"a:1", "a:2", "a:1", "a:3"} {
				take := func(choice *engine.Choice) (ending, bool) {
					return engine.Take(choice, func(url string) (ending, error) {
						e := ending{url: url, closed: &closed}
						if url == "a:2" {
							e.err = c.fails
						}
						return e, nil
					}, "a")
				}
				if _, err := engine.Options(&s, url, alone(take)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); !errors.Is(err, c.want) {
				t.Errorf("Close: %v, want %v", err, c.want)
			}
			if got := fmt.Sprint(closed); got != "[a:3 a:2 a:1]" {
				t.Errorf("closed %s, want each, the newest first", got)
			}
			if err := s.Close(); err != nil || len(closed) != 3 {
				t.Errorf("again: %v, %v", err, closed)
			}
		})
	}
}

// alone makes a backend of an engine's function alone.
func alone[E any](url func(*engine.Choice) (E, bool)) func(*engine.Choice) any {
	return func(c *engine.Choice) any { e, _ := url(c); return e }
}

// What a program asks flags for is one line for each package.
func ExampleOptions() {
	var engines engine.Set
	defer engines.Close() // after what stands on them

	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	url := "sqlite:" + filepath.Join(dir, "shop.db") // as a flag or an environment variable says
	// snippet: urls
	onKV, err1 := engine.Options(&engines, url, kvredis.URL, kvetcd.URL, kvsql.URL)
	onDB, err2 := engine.Options(&engines, url, dbsql.URL)
	onDiscovery, err3 := engine.Options(&engines, "", discoveryredis.URL, discoveryetcd.URL, discoveryconsul.URL) // none: embedded
	onConfig, err4 := engine.Options(&engines, "memory:", configetcd.URL("config/shop"))
	// end snippet
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		fmt.Println(err)
		return
	}
	store, err1 := kv.New(onKV...)
	records, err2 := db.New(onDB...)
	registry, err3 := discovery.New(onDiscovery...)
	settings, err4 := config.New(onConfig...)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Features().Backend, records.Features().Backend)
	fmt.Println(errors.Join(settings.Close(), registry.Close(), records.Close(), store.Close()))
	// Output:
	// sqlite sqlite
	// <nil>
}

// A backend without a function called URL, such as one of your own.
func ExampleScheme() {
	var engines engine.Set
	defer engines.Close()
	opts, err := engine.Options(&engines, "private:", kvredis.URL, engine.Scheme(func(string) kv.Option { return kv.Memory() }, "private"))
	fmt.Println(len(opts), err)
	// Output: 1 <nil>
}
