package config_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/wrapper"
	wrapperconfig "github.com/micro/go-platform/wrapper/config"
)

func TestMain(m *testing.M) { leak.Main(m) }

func ExamplePolicies() {
	cfg, err := config.New(config.WithSource(config.Memory("calls", map[string]any{
		"calls": []any{map[string]any{"inbound": true, "route": "/upload", "timeout": "1m"}},
	})))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cfg.Close()
	w, err := wrapper.New(wrapper.WithName("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close(context.Background())
	// snippet: policies
	cancel, err := cfg.Subscribe("calls", wrapperconfig.Policies(w))
	// end snippet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cancel()
	fmt.Println("in force, and changed with the configuration")
	// Output: in force, and changed with the configuration
}

func document(policies ...any) map[string]any { return map[string]any{"calls": policies} }

// A handler's time follows the configuration; a list that makes no sense
// changes nothing, in the configuration neither.
func TestPoliciesFollowTheConfiguration(t *testing.T) {
	source := config.Memory("calls", document())
	cfg, err := config.New(config.WithSource(source), config.WithDebounce(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.Close()
	w, err := wrapper.New(wrapper.WithName("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	cancel, err := cfg.Subscribe("calls", wrapperconfig.Policies(w))
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	h := w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		end, bounded := r.Context().Deadline()
		if !bounded {
			fmt.Fprint(rw, "none")
			return
		}
		fmt.Fprint(rw, time.Until(end).Round(time.Hour))
	}))
	ask := func() string {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/a/b", nil))
		return rec.Body.String()
	}
	policy := func(timeout string) map[string]any {
		return map[string]any{"inbound": true, "route": "/a/", "timeout": timeout}
	}
	await := func(want string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ask() != want; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s after 30 s, want %s; health %+v", ask(), want, cfg.Health())
			}
		}
	}
	await("none")
	for _, step := range []struct{ timeout, want string }{{"2h", "2h0m0s"}, {"3h", "3h0m0s"}} {
		if err := source.Set(document(policy(step.timeout))); err != nil {
			t.Fatal(err)
		}
		await(step.want)
	}
	version := cfg.Snapshot().Version()
	for _, bad := range []any{policy("-1h"), policy("soon"), map[string]any{"inbound": true, "hedge": map[string]any{"quantile": 0.9}}, "nonsense"} {
		if err := source.Set(document(bad)); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); cfg.Health().Rejected == nil; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%v was not refused: %+v", bad, cfg.Health())
			}
		}
		if got := ask(); got != "3h0m0s" || cfg.Snapshot().Version() != version {
			t.Errorf("%v: the time is %s", bad, got)
		}
		if err := source.Set(document(policy("3h"))); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); cfg.Health().Rejected != nil; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("a good list was refused: %+v", cfg.Health())
			}
		}
		version = cfg.Snapshot().Version()
	}
	if err := source.Set(map[string]any{}); err != nil {
		t.Fatal(err)
	}
	await("none")
}

func TestFirstPoliciesAreChecked(t *testing.T) {
	cfg, err := config.New(config.WithSource(config.Memory("calls", document(map[string]any{"route": "no slash"}))))
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.Close()
	w, err := wrapper.New(wrapper.WithName("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	if _, err := cfg.Subscribe("calls", wrapperconfig.Policies(w)); !errors.Is(err, wrapper.ErrInvalid) {
		t.Errorf("Subscribe: %v, want ErrInvalid", err)
	}
}
