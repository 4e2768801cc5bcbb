package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/consul"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	connconsul "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/router"
	routerconfig "github.com/micro/go-platform/router/config"
)

func TestMain(m *testing.M) { leak.Main(m) }

func document(weight int) map[string]any {
	return map[string]any{"router": map[string]any{"rules": []any{map[string]any{
		"name": "canary", "service": "greeter", "branches": []any{map[string]any{"variant": "new", "version": "2", "weight": weight}},
	}}}}
}

// world is a router whose rules are in a configuration.
func world(t testing.TB) (router.Router, config.Config, *config.MemorySource) {
	ro, cfg, source, _ := complaining(t)
	return ro, cfg, source
}

// complaints takes what the router logs as errors.
type complaints struct{ c chan string }

func (c complaints) Enabled(_ context.Context, l slog.Level) bool  { return l >= slog.LevelError }
func (c complaints) Handle(_ context.Context, r slog.Record) error { c.c <- r.Message; return nil }
func (c complaints) WithAttrs([]slog.Attr) slog.Handler            { return c }
func (c complaints) WithGroup(string) slog.Handler                 { return c }

func complaining(t testing.TB) (router.Router, config.Config, *config.MemorySource, <-chan string) {
	t.Helper()
	log := complaints{make(chan string, 10)}
	source := config.Memory("rules", document(0))
	cfg, err := config.New(config.WithSource(source), config.WithDebounce(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return routed(t, cfg, slog.New(log)), cfg, source, log.c
}

// routed is a router on one instance of each version, with the rules of cfg,
// which it closes.
func routed(t testing.TB, cfg config.Config, logger *slog.Logger) router.Router {
	t.Helper()
	d, err := discovery.New(static.Backend(
		discovery.Instance{ID: "old", Service: "greeter", Address: "10.0.0.1:80", Version: "1"},
		discovery.Instance{ID: "new", Service: "greeter", Address: "10.0.0.2:80", Version: "2"}))
	if err != nil {
		t.Fatal(err)
	}
	ro, err := router.New(router.WithDiscovery(d), router.WithRuleSource(routerconfig.Source(cfg, "router.rules")), router.WithLogger(logger))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ro.Close(context.Background()), d.Close(), cfg.Close()); err != nil {
			t.Error(err)
		}
	})
	return ro
}

// second counts how many of 100 calls go to version 2.
func second(t testing.TB, ro router.Router) (n int) {
	t.Helper()
	for range 100 {
		p, err := ro.Pick(t.Context(), "greeter")
		if err != nil {
			t.Fatal(err)
		}
		if p.Instance.Version == "2" {
			n++
		}
		p.Done(router.Outcome{Latency: time.Millisecond})
	}
	return n
}

func until(t testing.TB, ro router.Router, want int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		got := second(t, ro)
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of 100 calls go to version 2, want %d", got, want)
		}
	}
}

func TestRulesFollowTheConfiguration(t *testing.T) {
	ro, cfg, source := world(t)
	until(t, ro, 0)
	set := func(v any) {
		t.Helper()
		if err := source.Set(v); err != nil {
			t.Fatal(err)
		}
	}
	set(document(100))
	until(t, ro, 100)
	cancel, err := cfg.Subscribe("router.rules", routerconfig.Validate)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	set(document(300)) // vetoed
	for end := time.Now().Add(30 * time.Second); cfg.Health().OK; {
		if time.Now().After(end) {
			t.Fatal("rules that make no sense were not vetoed within 30 s")
		}
		time.Sleep(time.Millisecond)
	}
	until(t, ro, 100)
	set(document(0))
	until(t, ro, 0)
}

func TestBadRulesLeaveTheOldOnes(t *testing.T) {
	ro, _, source, complaint := complaining(t)
	until(t, ro, 0)
	for _, v := range []any{
		document(300), map[string]any{"router": map[string]any{"rules": "none"}}, map[string]any{"router": map[string]any{"rules": []any{1}}},
	} {
		if err := source.Set(v); err != nil {
			t.Fatal(err)
		}
		select {
		case <-complaint:
		case <-time.After(30 * time.Second):
			t.Fatalf("%v: nobody complained within 30 s", v)
		}
		if n := second(t, ro); n != 0 {
			t.Errorf("%v: %d of 100 calls go to version 2, want none", v, n)
		}
	}
}

// What an operator writes to consul decides calls.
func TestRuleChangedInConsulActs(t *testing.T) {
	server := servertest.SharedConsul(t)
	conn, err := connconsul.Open(connconsul.Config{Address: server.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	key := servertest.Namespace(t) + "/rules"
	put := func(weight int) {
		t.Helper()
		b, err := json.Marshal(document(weight))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.KV().Put(&api.KVPair{Key: key, Value: b}, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	cfg, err := config.New(config.WithSource(consul.Source(server.Addr(), key)))
	if err != nil {
		t.Fatal(err)
	}
	ro := routed(t, cfg, slog.New(slog.DiscardHandler))
	if n := second(t, ro); n != 0 {
		t.Fatalf("with weight 0 %d of 100 calls go to version 2", n)
	}
	for i := range 6 {
		weight := 100 * ((i + 1) % 2)
		put(weight)
		for end := time.Now().Add(30 * time.Second); second(t, ro) != weight; {
			if time.Now().After(end) {
				t.Fatalf("weight %d does not act within 30 s", weight)
			}
		}
	}
	put(10)
	var got int
	for end := time.Now().Add(30 * time.Second); ; {
		if got = second(t, ro); got > 0 && got < 100 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("weight 10 does not act within 30 s")
		}
	}
	got = 0
	for range 100 {
		got += second(t, ro)
	}
	if got < 800 || got > 1200 { // 6 σ
		t.Errorf("%d of 10000 calls go to a canary of 10 %%, want 10 ± 2 %%", got)
	}
}

func ExampleSource() {
	cfg, err := config.New(config.WithSource(config.Memory("rules", document(100))))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cfg.Close()
	rules, err := routerconfig.Parse(cfg.Get("router.rules"))
	fmt.Println(rules[0].Name, rules[0].Branches[0].Weight, err)
	// Output: canary 100 <nil>
}
