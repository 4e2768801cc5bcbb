package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// story runs the program and checks what it promises: no call fails though one
// instance turns slow and one dies.
func story(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	start := time.Now()
	if err := run(t.Context(), append([]string{"-phase", "1500ms"}, args...), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Logf("took %v", time.Since(start))
	if !regexp.MustCompile(`\n\d+ calls, 0 failed,`).MatchString(out.String()) {
		t.Errorf("a caller saw a failure:\n%s", out.String())
	}
	for _, want := range []string{
		"greeter-3 is lost", "where traffic went", "names GET /title/{name} (server)", "fencing token", "quickstart.chapter: all is well",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	return out.String()
}

func TestStoryOnEmbeddedDefaults(t *testing.T) { story(t) }

func TestStoryOnRealServers(t *testing.T) {
	redis, etcd, consul := servertest.SharedRedis(t), servertest.SharedEtcd(t), servertest.SharedConsul(t)
	out := story(t, "-kv", "redis://"+redis.Addr(), "-sync", "etcd://"+etcd.Addr(), "-discovery", "consul://"+consul.Addr())
	if !strings.Contains(out, "kv on redis://") {
		t.Errorf("does not say what it ran on:\n%s", out)
	}
}

// One database is enough for everything that is shared.
func TestStoryOnOnePostgres(t *testing.T) {
	dsn := servertest.Postgres(t).DSN()
	out := story(t, "-kv", dsn, "-sync", dsn, "-discovery", dsn, "-event", dsn)
	for _, want := range []string{"kv on postgres://", "sync on postgres://", "discovery on postgres://", "event on postgres://"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestStoryOnKubernetesAndKafka(t *testing.T) {
	k := servertest.SharedKubernetes(t)
	k.Do(t, http.MethodPost, "/api/v1/namespaces", `{"metadata":{"name":"quickstart"}}`)
	config := "kubeconfig:" + k.Kubeconfig(t, k.Addr(), servertest.KubeAdmin, k.Namespace(t))
	out := story(t, "-sync", config, "-discovery", config, "-event", "kafka://"+servertest.SharedKafka(t).Addr())
	for _, want := range []string{"discovery on kubeconfig:", "event on kafka://"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestBadFlagsAreErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-kv", "oracle://x"}, {"-kv", "nonsense"}, {"-discovery", "redis://h:99999"}, {"-rate", "0"}, {"-phase", "-1s"}, {"-sync", "http://x"}, {"-event", "oracle://x"}, {"-discovery", "kubeconfig:/no/such/file"},
	} {
		var out strings.Builder
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%v was accepted", args)
		} else {
			t.Log(err)
		}
	}
}
