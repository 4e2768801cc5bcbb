package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/memcached"
	"github.com/micro/go-platform/kv/nats"
	"github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/router"
	routerkv "github.com/micro/go-platform/router/kv"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"consume": consume, "client": client})
	leak.Main(m)
}

func fleet(n int) discovery.Option {
	var all []discovery.Instance
	for i := range n {
		all = append(all, discovery.Instance{ID: fmt.Sprint("n", i), Service: "greeter", Address: fmt.Sprintf("10.0.0.1:%d", 1000+i)})
	}
	return static.Backend(all...)
}

// client is a process that makes calls. For one of both kinds n3 fails. It
// prints how many calls it made, how many of them went to n3, and what the
// view makes of n3's weight, for each quarter of a second.
func client(args []string) error {
	store, err := kv.New(redis.Backend(args[0]), kv.WithNamespace(args[1]))
	if err != nil {
		return err
	}
	x, err := routerkv.Exchange(store)
	if err != nil {
		return err
	}
	d, err := discovery.New(fleet(8))
	if err != nil {
		return err
	}
	// Nobody ejects: what moves is the share.
	r, err := router.New(router.WithDiscovery(d), router.WithSharing(x, router.Sharing{Interval: 300 * time.Millisecond}),
		router.WithEjection(router.Ejection{Consecutive: 1 << 30, Share: 1, Slower: 1e9}))
	if err != nil {
		return err
	}
	ctx := context.Background()
	for {
		calls, third := 0, 0
		for end := time.Now().Add(250 * time.Millisecond); time.Now().Before(end); calls++ {
			p, err := r.Pick(ctx, "greeter")
			if err != nil {
				return err
			}
			o := router.Outcome{Latency: 10 * time.Millisecond}
			if p.Instance.ID == "n3" {
				third++
				if args[2] == "fails" {
					o.Class = router.ServerError
				}
			}
			p.Done(o)
			backoff.Sleep(ctx, time.Millisecond)
		}
		for _, s := range r.Stats("greeter") {
			if s.ID == "n3" {
				fmt.Println(calls, third, s.View)
			}
		}
	}
}

// quarter reads what a client printed.
func quarter(t testing.TB, p *servertest.Process) (calls, third int, view float64) {
	t.Helper()
	f := strings.Fields(p.Line())
	if len(f) != 3 {
		t.Fatalf("a client said %q", f)
	}
	calls, err1 := strconv.Atoi(f[0])
	third, err2 := strconv.Atoi(f[1])
	view, err3 := strconv.ParseFloat(f[2], 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return calls, third, view
}

func TestOneProcessSeesAnInstanceFailAndTheOthersShareFalls(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t)
	well := servertest.Child(t, "client", server.Addr(), "share", "well")
	share := func(p *servertest.Process, quarters int) float64 {
		all, n3 := 0, 0
		for range quarters {
			calls, third, _ := quarter(t, p)
			all, n3 = all+calls, n3+third
		}
		return float64(n3) / float64(all)
	}
	before := share(well, 8)
	fails := servertest.Child(t, "client", server.Addr(), "share", "fails")
	wait := func(what string, ok func(view float64) bool) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); ; {
			if _, _, view := quarter(t, well); ok(view) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: not within a minute", what)
			}
		}
	}
	wait("the other's view", func(v float64) bool { return v < 0.9 })
	after := share(well, 8)
	t.Logf("share before %.3f, after %.3f", before, after)
	if after > 0.95*before || after < 0.7*before { // in proportion to its weight, which is from 0.79 to 0.9 of what it was
		t.Errorf("the share of an instance that fails elsewhere was %.3f and is %.3f, want a little less", before, after)
	}
	server.Kill()
	wait("neutral again", func(v float64) bool { return v == 1 })
	for _, p := range []*servertest.Process{well, fails} {
		for range 4 {
			if calls, _, _ := quarter(t, p); calls == 0 {
				t.Error("a client made no calls without the store")
			}
		}
	}
	if alone := share(well, 8); alone < after {
		t.Errorf("alone its share is %.3f, with the view it was %.3f", alone, after)
	}
}

func TestReportsAndViewsTravel(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) kv.Option{
		"memory":   nil,
		"redis":    func(t *testing.T) kv.Option { return redis.Backend(servertest.SharedRedis(t).Addr()) },
		"nats":     func(t *testing.T) kv.Option { return nats.Backend(servertest.SharedNATS(t).Addr()) },
		"postgres": func(t *testing.T) kv.Option { return sql.Postgres(servertest.SharedPostgres(t).DSN()) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := []kv.Option{kv.WithNamespace(servertest.Namespace(t))}
			if open != nil {
				opts = append(opts, open(t))
			}
			store, err := kv.New(opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			x, err := routerkv.Exchange(store)
			if err != nil {
				t.Fatal(err)
			}
			travels(t, x)
		})
	}
}

// travels sends reports and views before and after somebody listens.
func travels(t *testing.T, x router.Exchange) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	reports, views := make(chan router.Report, 10), make(chan router.View, 10)
	ended := make(chan error, 2)
	report := router.Report{Service: "a/b", Client: "c/1", Seq: 7, Nodes: []router.NodeReport{{ID: "n", Latency: router.Sketch{3: 4}, Ejected: true}}}
	report.Nodes[0].Outcomes[router.Timeout] = 5
	view := router.View{Service: "a/b", By: "x", Seq: 3, Clients: 2, Nodes: map[string]router.NodeView{"n": {Weight: 0.5, Slower: 2, Votes: 1, Clients: 2}}}
	for _, service := range []string{"a", "a/b", "a/b/c"} { // a prefix of a name is not that name
		r, v := report, view
		r.Service, v.Service = service, service
		if err := errors.Join(x.Publish(ctx, r), x.PublishView(ctx, v)); err != nil {
			t.Fatal(err)
		}
	}
	go func() { ended <- x.Reports(ctx, "a/b", func(r router.Report) { reports <- r }) }()
	go func() { ended <- x.Views(ctx, "a/b", func(v router.View) { views <- v }) }()
	get := func(seq uint64) {
		t.Helper()
		select {
		case r := <-reports:
			if want := report; r.Seq != seq || r.Service != want.Service || r.Client != want.Client || r.Nodes[0].Outcomes != want.Nodes[0].Outcomes || r.Nodes[0].Latency[3] != 4 || !r.Nodes[0].Ejected {
				t.Errorf("got %+v, want %d of %+v", r, seq, want)
			}
		case <-ctx.Done():
			t.Fatal("no report within 30 s")
		}
		select {
		case v := <-views:
			if v.Seq != seq-4 || v.Service != "a/b" || v.Nodes["n"] != view.Nodes["n"] {
				t.Errorf("got %+v, want %d of %+v", v, seq-4, view)
			}
		case <-ctx.Done():
			t.Fatal("no view within 30 s")
		}
	}
	get(7)
	report.Seq, view.Seq = 8, 4
	if err := errors.Join(x.Publish(ctx, report), x.PublishView(ctx, view)); err != nil {
		t.Fatal(err)
	}
	get(8)
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v, want canceled", err)
		}
	}
}

func TestWhatIsNoReportIsPassedOver(t *testing.T) {
	s := store(t)
	x, err := routerkv.Exchange(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "report/s/liar", []byte(`{"nodes": 5}`)); err != nil {
		t.Fatal(err)
	}
	if err := x.Publish(t.Context(), router.Report{Service: "s", Client: "z", Seq: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got router.Report
	x.Reports(ctx, "s", func(r router.Report) { got = r; cancel() })
	if got.Client != "z" {
		t.Errorf("got %+v, want the only report", got)
	}
}

func TestStoreThatCanNotListIsRefused(t *testing.T) {
	s, err := kv.New(memcached.Backend(servertest.SharedMemcached(t).Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := routerkv.Exchange(s); !errors.Is(err, kv.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	if _, err := routerkv.Exchange(nil); !errors.Is(err, router.ErrInvalid) {
		t.Errorf("nil store: %v, want ErrInvalid", err)
	}
}

func ExampleExchange() {
	store, err := kv.New() // or kv.New(redis.Backend("127.0.0.1:6379"), kv.WithNamespace("router"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	exchange, err := routerkv.Exchange(store)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := discovery.New(fleet(3))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	ro, err := router.New(router.WithDiscovery(d), router.WithSharing(exchange, router.Sharing{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ro.Close(context.Background())
	fmt.Println(len(ro.Stats("greeter")), err)
	// Output: 0 <nil>
}

func ExampleNewQuota() {
	store, err := kv.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	quota, err := routerkv.NewQuota(store, "partner-api", 0.001, 1) // once in 1000 s, whichever process
	if err != nil {
		fmt.Println(err)
		return
	}
	defer quota.Close()
	_, first := quota.Acquire(context.Background())
	_, second := quota.Acquire(context.Background())
	fmt.Println(first, errors.Is(second, router.ErrLimited))
	// Output: <nil> true
}
