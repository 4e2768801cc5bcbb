package kv_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/consul"
	"github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/kv/memcached"
	"github.com/micro/go-platform/kv/redis"
)

var writeDocs = flag.Bool("write-docs", false, "write docs/kv-features.md")

// TestFeaturesTable holds docs/kv-features.md to what the backends say of
// themselves:
//
//	go test ./kv -run FeaturesTable -write-docs
func TestFeaturesTable(t *testing.T) {
	backends := []struct {
		name string
		opt  kv.Option
	}{
		{"memory", kv.Memory()},
		{"redis", redis.Backend("h:1")},
		{"redis sentinels", redis.Backend("redis+sentinel://h:1/mymaster")},
		{"redis cluster", redis.Backend("a:1,b:1")},
		{"memcached", memcached.Backend("h:1")},
		{"several memcached", memcached.Backend("a:1,b:1")},
		{"etcd", etcd.Backend("h:1")},
		{"consul", consul.Backend("h:1")},
	}
	rows := []struct {
		name string
		of   func(kv.Features) string
	}{
		{"`List`", func(f kv.Features) string { return yes(f.List) }},
		{"`Watch`", func(f kv.Features) string { return yes(f.Watch) }},
		{"`GetMany`, `PutMany` in shared round trips", func(f kv.Features) string { return yes(f.Batch) }},
		{"`Add` in one round trip", func(f kv.Features) string { return yes(f.Counter) }},
		{"two writes of the same bytes have different revisions", func(f kv.Features) string { return yes(f.Versions) }},
		{"linearizable", func(f kv.Features) string { return yes(f.Linearizable) }},
		{"outlives the backend's processes", func(f kv.Features) string { return yes(f.Durable) }},
		{"shared with other processes", func(f kv.Features) string { return yes(f.Shared) }},
		{"may evict to stay within a bound", func(f kv.Features) string { return yes(f.Evicts) }},
		{"a life may end later by up to", func(f kv.Features) string {
			if f.ExpiryStep == 0 {
				return "–"
			}
			return f.ExpiryStep.Round(time.Millisecond).String()
		}},
		{"largest value", func(f kv.Features) string {
			if f.MaxValue >= 1<<20 && f.MaxValue%(1<<20) == 0 {
				return fmt.Sprint(f.MaxValue>>20, " MiB")
			}
			return fmt.Sprint(f.MaxValue>>10, " KiB")
		}},
	}
	var b strings.Builder
	b.WriteString("# What the kv backends can do\n\nGenerated from `Features()` by `go test ./kv -run FeaturesTable -write-docs`.\n\n| |")
	var features []kv.Features
	for _, backend := range backends {
		store := newStore(t, backend.opt, kv.WithLazy())
		features = append(features, store.Features())
		b.WriteString(" " + backend.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(backends)) + "\n")
	for _, row := range rows {
		b.WriteString("| " + row.name + " |")
		for _, f := range features {
			b.WriteString(" " + row.of(f) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\nWhat a backend lacks returns `kv.ErrUnsupported`, but for `Add` and the batches, which it then makes of single calls.\n")
	const path = "../docs/kv-features.md"
	if *writeDocs {
		if err := os.MkdirAll("../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the backends say (%v): run go test ./kv -run FeaturesTable -write-docs", path, err)
	}
}

func yes(b bool) string {
	if b {
		return "✔"
	}
	return "–"
}
