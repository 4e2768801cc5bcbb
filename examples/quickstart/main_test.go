package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/examples/internal/trial"
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
		"greeter-3 is lost", "where calls went", "names GET /title/{name} (server)", "fencing token", "quickstart.chapter: all is well",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	// The first column of the table is while all is well: its shares are even. A machine
	// that does few calls in that time is so busy that instances are slow in turn, and the
	// router avoids those; then each has a share at least.
	for _, service := range []string{"names", "greeter"} {
		var calls []int
		for _, line := range regexp.MustCompile(service+`-\d +(\d+) +\d+ +\d+ +\d+ `).FindAllStringSubmatch(out.String(), -1) {
			n, _ := strconv.Atoi(line[1])
			calls = append(calls, n)
		}
		if len(calls) != 3 || slices.Min(calls) == 0 {
			t.Errorf("%s: calls of the instances while all is well: %v, want three numbers\n%s", service, calls, out.String())
		} else if calls[0]+calls[1]+calls[2] >= 300 && slices.Max(calls)*3 > slices.Min(calls)*4 {
			t.Errorf("%s: calls of the instances while all is well: %v, want them within a third\n%s", service, calls, out.String())
		}
	}
	return out.String()
}

func TestStoryOnEmbeddedDefaults(t *testing.T) { story(t) }

func TestStoryOnRealServers(t *testing.T) {
	redis, etcd, consul := servertest.SharedRedis(t), servertest.SharedEtcd(t), servertest.SharedConsul(t)
	out := story(t, "-rate", "50", "-kv", "redis://"+redis.Addr(), "-sync", "etcd://"+etcd.Addr(), "-discovery", "consul://"+consul.Addr())
	if !strings.Contains(out, "kv on redis://") {
		t.Errorf("does not say what it ran on:\n%s", out)
	}
}

// One database is enough for everything that is shared. A busy machine does no more than some
// dozen calls a second through it, each of which is a write to the store and an event.
func TestStoryOnOnePostgres(t *testing.T) {
	dsn := servertest.Postgres(t).DSN()
	out := story(t, "-rate", "25", "-kv", dsn, "-sync", dsn, "-discovery", dsn, "-event", dsn)
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
	out := story(t, "-rate", "50", "-sync", config, "-discovery", config, "-event", "kafka://"+servertest.SharedKafka(t).Addr())
	for _, want := range []string{"discovery on kubeconfig:", "event on kafka://"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

// What the program says to try works while it runs with -stay, and Ctrl-C ends
// it without an error.
func TestWhatItSaysToTryWorksUntilItIsInterrupted(t *testing.T) {
	page := trial.Free(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	said, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-phase", "200ms", "-stay", "-addr", page}, out)
		out.Close()
	}()
	var text strings.Builder
	for lines := bufio.NewScanner(said); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if strings.Contains(lines.Text(), "until you interrupt") {
			trial.Curl(t, text.String(), `"greeter-1"`, "http_server_request_duration_seconds_count")
			interrupt()
		}
	}
	if err := <-done; err != nil || !strings.Contains(text.String(), "http://"+page+"/") {
		t.Errorf("ended with %v; page at %s\n%s", err, page, text.String())
	}
}

func TestBadFlagsAreErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-kv", "oracle://x"}, {"-kv", "nonsense"}, {"-discovery", "redis://h:99999"}, {"-rate", "0"}, {"-rate", "2000000000"}, {"-phase", "-1s"}, {"-sync", "http://x"}, {"-event", "oracle://x"}, {"-discovery", "kubeconfig:/no/such/file"},
	} {
		var out strings.Builder
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%v was accepted", args)
		} else {
			t.Log(err)
		}
	}
}
