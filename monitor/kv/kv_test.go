package kv_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/nats"
	"github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/monitor"
	monitorkv "github.com/micro/go-platform/monitor/kv"
)

func TestMain(m *testing.M) { leak.Main(m) }

func ExampleBackend() {
	ctx := context.Background()
	store, err := kv.New() // or kv.New(redis.Backend("127.0.0.1:6379"), kv.WithNamespace("monitor"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	for _, id := range []string{"a", "b"} {
		mo, err := monitor.New(monitorkv.Backend(store), monitor.WithInstance(monitor.Instance{ID: id, Service: "orders"}))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer mo.Close(ctx)
		if id == "b" {
			for v := range mo.Cluster().Watch(ctx, "orders") {
				if v.Pass == 2 {
					fmt.Println("both are seen")
					break
				}
			}
		}
	}
	// Output: both are seen
}

func TestInstancesSeeEachOther(t *testing.T) {
	for name, backend := range map[string]func() kv.Option{
		"redis":    func() kv.Option { return redis.Backend(servertest.SharedRedis(t).Addr()) },
		"nats":     func() kv.Option { return nats.Backend(servertest.SharedNATS(t).Addr()) },
		"postgres": func() kv.Option { return sql.Postgres(servertest.SharedPostgres(t).DSN()) },
	} {
		t.Run(name, func(t *testing.T) { seeEachOther(t, backend()) })
	}
}

func seeEachOther(t *testing.T, backend kv.Option) {
	namespace := servertest.Namespace(t)
	var all []monitor.Monitor
	for i := range 3 {
		store, err := kv.New(backend, kv.WithNamespace(namespace))
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		mo, err := monitor.New(monitorkv.Backend(store), monitor.WithInterval(200*time.Millisecond),
			monitor.WithInstance(monitor.Instance{ID: fmt.Sprint(i), Service: "orders"}),
			monitor.WithExpected(func(string) ([]string, bool) { return []string{"0", "1", "2"}, true }))
		if err != nil {
			t.Fatal(err)
		}
		defer mo.Close(context.Background())
		all = append(all, mo)
	}
	wait := func(what string, ok func(v monitor.View) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var last monitor.View
		for v := range all[0].Cluster().Watch(ctx, "orders") {
			if last = v; ok(v) {
				return
			}
		}
		t.Fatalf("%s was not seen within 30 s: %+v", what, last)
	}
	wait("the whole service", func(v monitor.View) bool { return v.Verdict == monitor.Pass && v.Pass == 3 })
	all[1].SetPhase(monitor.Draining)
	wait("an instance that drains", func(v monitor.View) bool { return v.Verdict == monitor.Warn && v.Fail == 1 })
	if err := all[2].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait("an instance that stopped", func(v monitor.View) bool { return v.Stopped == 1 && v.Lost == 0 })
}
