package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

const want = `kv: greeting = hello
sync: held, with a token: true
discovery: instances: 1
db: version 1
event: order.created
config: workers: 4
`

func TestTheSameOnAllBackends(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "swap.yaml"), []byte("workers: 4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string]func(t *testing.T) []string{
		"embedded": func(*testing.T) []string { return nil },
		"files": func(*testing.T) []string {
			return []string{"-db", "sqlite://" + dir + "/db", "-kv", "sqlite://" + dir + "/kv", "-sync", "sqlite://" + dir + "/sync", "-discovery", "sqlite://" + dir + "/discovery", "-event", "sqlite://" + dir + "/events", "-config", "file://" + dir + "/swap.yaml"}
		},
		"redis": func(t *testing.T) []string {
			url := "redis://" + servertest.SharedRedis(t).Addr()
			return []string{"-kv", url, "-sync", url, "-discovery", url, "-event", url}
		},
		"etcd": func(t *testing.T) []string {
			url := "etcd://" + servertest.SharedEtcd(t).Addr()
			return []string{"-kv", url, "-sync", url, "-discovery", url}
		},
		"consul and nats": func(t *testing.T) []string {
			url := "consul://" + servertest.SharedConsul(t).Addr()
			return []string{"-kv", url, "-sync", url, "-discovery", url, "-event", "nats://" + servertest.SharedNATS(t).Addr()}
		},
		"postgres": func(t *testing.T) []string {
			url := servertest.SharedPostgres(t).DSN()
			return []string{"-db", url, "-event", url, "-kv", url, "-sync", url, "-discovery", url}
		},
		"postgres and memcached": func(t *testing.T) []string {
			url := servertest.SharedPostgres(t).DSN()
			return []string{"-db", url, "-event", url, "-kv", "memcached://" + servertest.SharedMemcached(t).Addr()}
		},
		"receivers": func(t *testing.T) []string {
			return []string{"-trace", "zipkin://" + servertest.SharedZipkin(t).Addr(), "-metrics", "statsd://" + servertest.SharedStatsdExporter(t).Addr()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := run(t.Context(), flags(t), &out); err != nil || !strings.Contains(out.String(), want) {
				t.Errorf("got %q, %v, want %q", out.String(), err, want)
			}
		})
	}
}

func TestBadFlagsAreErrors(t *testing.T) {
	for _, args := range [][]string{{"-kv", "oracle://x"}, {"-kv", "redis"}, {"-nothing"}, {"more"}} {
		if err := run(t.Context(), args, &strings.Builder{}); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
