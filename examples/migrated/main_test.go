package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/examples/internal/trial"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// users is the other service, which knows one name.
func users(ctx context.Context, registry discovery.Option) error {
	app, err := platform.New("users", platform.WithDiscovery(registry))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/17", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, `{"name":"Ada"}`) })
	return app.Run(ctx, platform.HTTP("127.0.0.1:0", mux))
}

func TestTheServiceFindsUsersAndFollowsItsConfiguration(t *testing.T) {
	registries := map[string]struct {
		url string
		own discovery.Option
	}{
		"etcd":   {"etcd://" + servertest.SharedEtcd(t).Addr(), etcd.Backend(servertest.SharedEtcd(t).Addr())},
		"consul": {"consul://" + servertest.SharedConsul(t).Addr(), consul.Backend(servertest.SharedConsul(t).Addr())},
	}
	for name, c := range registries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, addr := filepath.Join(t.TempDir(), "greeter.json"), trial.Free(t)
			write(t, path, `{"greeting":"Good day"}`)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 2)
			go func() { ended <- users(ctx, c.own) }()
			go func() { ended <- run(ctx, addr, c.url, path) }()
			says(t, "http://"+addr+"/hello/17", "Good day, Ada\n")
			write(t, path, `{}`)
			says(t, "http://"+addr+"/hello/17", "Hello, Ada\n")
			says(t, "http://"+addr+"/hello/18", "not now\n")
			stop()
			for range 2 {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// says waits until url answers want.
func says(t *testing.T, url, want string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	got := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(url)
		if err != nil {
			got = err.Error()
			continue
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got = string(b); got == want {
			return
		}
	}
	t.Fatalf("%s: got %q, want %q", url, got, want)
}

func TestBadAddressIsAnError(t *testing.T) {
	for _, url := range []string{"", "redis://127.0.0.1", "nonsense"} {
		if err := run(t.Context(), "127.0.0.1:0", url, "none.json"); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
}
