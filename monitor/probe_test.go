package monitor_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/monitor"
)

// probe asks as a kubelet does: a new connection for each probe, a timeout of a
// second, and any status from 200 to 399 is success.
type probe struct {
	name string
	ask  func(ctx context.Context, url string) (ok bool, body string, err error)
}

func probes(t *testing.T) []probe {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	list := []probe{{"net/http", func(ctx context.Context, url string) (bool, string, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			return false, "", err
		}
		r.Header.Set("User-Agent", "kube-probe/1.34")
		r.Header.Set("Accept", "*/*")
		resp, err := client.Do(r)
		if err != nil {
			return false, "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode >= 200 && resp.StatusCode < 400, string(b), err
	}}}
	return append(list, probe{"curl", func(ctx context.Context, url string) (bool, string, error) {
		// --fail makes a status of 400 and more exit code 22.
		out, err := servertest.Tool(ctx, t, "curl", "--silent", "--fail-with-body", "--noproxy", "*", "--user-agent", "kube-probe/1.34", url).Output()
		if e, failed := err.(*exec.ExitError); failed && e.ExitCode() == 22 {
			return false, string(out), nil
		}
		return err == nil, string(out), err
	}})
}

func TestKubeletsProbesFollowAServiceFromStartToEnd(t *testing.T) {
	for _, p := range probes(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			mo := start(t, monitor.WithService("orders"), monitor.WithPhase(monitor.Starting))
			register(t, mo, monitor.Check{Name: "migrations", Probe: monitor.Startup, TTL: time.Hour})
			register(t, mo, monitor.Check{Name: "db", TTL: time.Hour, FailAfter: 1})
			stall := 5 * time.Second
			beat := mo.Liveness("loop", stall)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: mo.Handler()}
			done := make(chan struct{})
			go func() { defer close(done); server.Serve(l) }()
			defer func() { server.Close(); <-done }()
			see := func(when string, live, started, ready bool) {
				t.Helper()
				beat()
				for path, want := range map[string]bool{"/livez": live, "/startupz": started, "/readyz": ready} {
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					ok, body, err := p.ask(ctx, "http://"+l.Addr().String()+path)
					cancel()
					if err != nil || ok != want || (strings.TrimSpace(body) == "ok") != want {
						t.Errorf("%s, %s: %v %q, %v; want %v", when, path, ok, body, err, want)
					}
				}
			}
			see("before migrations", true, false, false)
			mo.Beat("migrations", nil)
			mo.Beat("db", nil)
			see("started", true, true, false)
			mo.SetPhase(monitor.Running)
			see("running", true, true, true)
			mo.Beat("db", fmt.Errorf("connection refused"))
			see("db down", true, true, false)
			mo.Beat("db", nil)
			see("db back", true, true, true)
			mo.SetPhase(monitor.Draining)
			see("draining", true, true, false)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			for { // the loop no longer turns
				ok, _, err := p.ask(ctx, "http://"+l.Addr().String()+"/livez")
				if err != nil {
					t.Fatalf("a loop that stalls: %v", err)
				}
				if !ok {
					break
				}
				<-time.After(50 * time.Millisecond)
			}
		})
	}
}
