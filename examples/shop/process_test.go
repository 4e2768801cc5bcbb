package main

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform/examples/internal/trial"
	"github.com/micro/go-platform/internal/servertest"
)

// alone is a process of the shop.
func alone(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return run(ctx, args, os.Stdout)
}

// Each service in a process of its own, on one SQLite file. One of each pair is
// killed, as kill -9 does, while shoppers shop: what was begun is finished by the
// others.
func TestProcessesAreKilled(t *testing.T) {
	t.Parallel()
	url, front, ops := "sqlite:"+filepath.Join(t.TempDir(), "shop.db"), trial.Free(t), trial.Free(t)
	processes := map[string]*servertest.Process{}
	for _, id := range []string{"catalogue-1", "payment-1", "payment-2", "cart-1", "orders-1", "orders-2", "frontend-1"} {
		service, _, _ := strings.Cut(id, "-")
		addr := map[string]string{"frontend": front}[service]
		processes[id] = servertest.Child(t, "instance", "-db", url, "-service", service, "-instance", id, "-addr", cmp.Or(addr, "127.0.0.1:0"), "-ops", ops, "-broken", "0")
	}
	for id, p := range processes {
		if line := p.Line(); !strings.Contains(line, id) {
			t.Fatalf("%s says %q", id, line)
		}
	}
	trial.Curl(t, "curl http://"+ops+"/readyz", "ok")
	s, err := open(t.Context(), mustParse(t, "-db", url))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	l := newLoad("http://"+front, 10, 100)
	defer l.stop()
	l.until(t, 10)
	processes["orders-1"].Kill()
	processes["payment-1"].Kill()
	l.until(t, 30)
	l.stop()
	a, err := (&cluster{s: s}).audit(t.Context(), l.run)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	a.print(&out, l)
	if !strings.Contains(out.String(), "; lost 0, twice 0\n") {
		t.Errorf("%s\nfirst error of a shopper: %v", out.String(), l.failure)
	}
	t.Log(out.String(), l.failed, l.failure)
	for source, all := range map[string]map[string]map[string]bool{"orders ": a.placed, "payment ": a.payments} {
		for id, records := range all {
			for record := range records {
				if !strings.HasPrefix(record, source) {
					t.Errorf("order %s: an event from %q, want it from %q, whichever service relays it", id, record, source)
				}
			}
		}
	}
	for _, id := range []string{"frontend-1", "orders-2", "cart-1", "payment-2", "catalogue-1"} {
		processes[id].Terminate()
		if err := processes[id].Wait(); err != nil {
			t.Errorf("%s ended with %v", id, err)
		}
	}
}

// The commands of README.md, with the ports and the file of the test.
func TestReadmesProcesses(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## A process for each service")
	if !found {
		t.Fatal("README.md has no section on processes")
	}
	section = strings.ReplaceAll(section, "sqlite:shop.db", "sqlite:"+filepath.Join(t.TempDir(), "shop.db"))
	for _, port := range []string{"8080", "8081", "8082", "8083", "8084", "8090"} {
		section = strings.ReplaceAll(section, "127.0.0.1:"+port, trial.Free(t))
	}
	started := 0
	for line := range strings.Lines(section) {
		if args, ok := strings.CutPrefix(strings.TrimSpace(line), "go run ./examples/shop "); ok {
			servertest.Child(t, "instance", strings.Fields(strings.TrimSuffix(args, " &"))...).Line()
			started++
		}
	}
	if started != len(services) {
		t.Fatalf("README.md starts %d processes, want %d", started, len(services))
	}
	trial.Curl(t, section, `"products"`, `{"mug":2}`, `"status":"placed"`, `"cents":1800`)
}

// until waits until n orders were confirmed.
func (l *load) until(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		l.mu.Lock()
		placed, failure := len(l.placed), l.failure
		l.mu.Unlock()
		if placed >= n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d orders were confirmed within a minute, want %d; first error: %v", placed, n, failure)
		}
	}
}

func mustParse(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
