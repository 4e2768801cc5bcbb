package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cluster"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/db/elastic"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestOpenSearch has all that needs a server, of which one has to do.
func TestOpenSearch(t *testing.T) {
	everything(t, &server{Server: servertest.OpenSearch(t)})
}

func everything(t *testing.T, s *server) {
	t.Run("Conformance", s.conformance)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *server)
	}{
		{"NamesAndValuesInjectNothing", injection},
		{"SearchesSeeOtherWriters", others},
		{"PagesHoldUnderWriters", pages},
		{"LargePagesComeInParts", parts},
		{"OfTwoDatabasesUpdatesOneWins", oneWins},
		{"LostAnswersLeaveTheOutcomeUnknown", lost},
		{"PoolBoundsConnections", pool},
		{"DroppedIndexIsSaid", dropped},
		{"NodesAreFoundByTheirLabel", discovered},
	} {
		t.Run(c.name, func(t *testing.T) {
			leak.Check(t)
			c.run(t, s)
		})
	}
}

// TestElasticsearchChaos is the same on the other server.
func TestElasticsearchChaos(t *testing.T) {
	if os.Getenv("CHAOS") == "" {
		t.Skip("a second server, for half a minute: make chaos")
	}
	everything(t, &server{Server: servertest.Elasticsearch(t)})
}

func (s *server) conformance(t *testing.T) {
	dbtest.Run(t, dbtest.Harness{
		Open: func(t testing.TB, opts ...db.Option) db.DB {
			t.Helper()
			d, err := db.New(append([]db.Option{db.WithTimeout(time.Minute)}, append(opts, elastic.Backend(s.Addr(), elastic.WithReplicas(0)), db.WithDialTimeout(30*time.Second))...)...)
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Restart: s.restartUnderWriters,
	})
}

type server struct{ *servertest.Server }

// open opens a table in a namespace of the test's own.
func (s *server) open(t testing.TB, addr, ns string, opts ...elastic.Option) (db.DB, db.Table) {
	t.Helper()
	d, err := db.New(elastic.Backend(addr, append(opts, elastic.WithReplicas(0))...), db.WithNamespace(ns), db.WithDialTimeout(30*time.Second), db.WithTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	return d, tb
}

// restartUnderWriters kills the server while several write, and looks for what
// it had acknowledged.
func (s *server) restartUnderWriters(t testing.TB) {
	_, tb := s.open(t, s.Addr(), "killed")
	var wg sync.WaitGroup
	var n atomic.Int64
	acked := make([][]string, 4)
	for w := range acked {
		wg.Go(func() {
			for i := 0; ; i++ {
				r := &db.Record{ID: fmt.Sprint(w, "-", i)}
				if err := tb.Create(context.Background(), r); err != nil {
					if !errors.Is(err, db.ErrUnavailable) && !errors.Is(err, db.ErrUnknownOutcome) {
						t.Errorf("a write to a server that was killed: %v", err)
					}
					return
				}
				acked[w] = append(acked[w], r.ID)
				n.Add(1)
			}
		})
	}
	for end := time.Now().Add(30 * time.Second); n.Load() < 200 && time.Now().Before(end); {
		<-time.After(5 * time.Millisecond)
	}
	s.Kill()
	wg.Wait()
	s.Restart()
	found := map[string]bool{}
	for end := time.Now().Add(60 * time.Second); ; <-time.After(50 * time.Millisecond) {
		var err error
		for r, e := range tb.All(context.Background(), db.Limit(1000)) {
			if err = e; e == nil {
				found[r.ID] = true
			}
		}
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after the restart: %v", err)
		}
	}
	for _, ids := range acked {
		for _, id := range ids {
			if !found[id] {
				t.Errorf("%s was acknowledged, and is lost", id)
			}
		}
	}
	if n.Load() == 0 {
		t.Error("nothing was written before the kill")
	}
}

func injection(t *testing.T, s *server) {
	d, tb := s.open(t, s.Addr(), "injection")
	attacks := []string{`x"}}}`, `"},"script":{"source":"1"`, `x\`, "x\n{\"delete\":{\"_id\":\"x\"}}", "../things/_search", "..", ".", "_all", "*", "a*", "?", "%2F..%2F_all", "/", "x?refresh", "x#", "x,y", "a.b", "a..b", ".a", " ", "[a-z]", "a|b", "(", "&", "~", "<1-9>", "@", "\x00", `\"`, "日本 🙂"}
	for _, a := range attacks {
		if _, err := d.Table(t.Context(), a); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("Table %q: %v, want ErrInvalid", a, err)
		}
		r := &db.Record{Metadata: map[string]any{"a": a, "l": []string{a}}, Data: []byte(a), ContentType: strings.ReplaceAll(a, "\x00", "")}
		if !strings.HasPrefix(a, "@") {
			r.Metadata[a] = a
		}
		if !strings.ContainsAny(a, "\x00\n") {
			r.ID = a
		}
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatalf("Create %q: %v", a, err)
		}
		got, err := tb.Read(t.Context(), r.ID)
		if err != nil || got.Metadata["a"] != a || string(got.Data) != a {
			t.Errorf("Read %q: %+v, %v", a, got, err)
		}
	}
	for _, a := range attacks {
		filters := []db.Filter{db.Equal("a", a), db.In("a", a), db.And(db.Prefix("a", a), db.Contains("a", a), db.Equal("a", a)), db.Contains("l", a)}
		if !strings.HasPrefix(a, "@") {
			filters = append(filters, db.Equal(a, a), db.Exists(a), db.And(db.LessOrEqual(a, a), db.GreaterOrEqual(a, a)))
		}
		if !strings.ContainsAny(a, "\x00\n") {
			filters = append(filters, db.Equal(db.FieldID, a), db.And(db.Contains(db.FieldID, a), db.Prefix(db.FieldID, a), db.Equal("a", a)))
		}
		for _, f := range filters {
			if p, err := tb.Search(t.Context(), db.Where(f)); err != nil || len(p.Records) != 1 || p.Records[0].Metadata["a"] != a {
				t.Errorf("%+v finds %d, %v, want 1", f, len(p.Records), err)
			}
		}
		if !strings.HasPrefix(a, "@") {
			if p, err := tb.Search(t.Context(), db.OrderByKeys(db.Order{Key: a, Desc: true}), db.Limit(1)); err != nil || p.Records[0].Metadata["a"] != a {
				t.Errorf("order by %q: %v, %v", a, p.Records, err)
			}
		}
	}
	if n, err := tb.Count(t.Context()); err != nil || n != int64(len(attacks)) {
		t.Errorf("%d records, %v, want %d", n, err, len(attacks))
	}
}

func others(t *testing.T, s *server) {
	for i, c := range []struct{ writer, reader []elastic.Option }{
		{nil, []elastic.Option{elastic.WithRefresh(elastic.RefreshSearches)}},
		{[]elastic.Option{elastic.WithRefresh(elastic.RefreshWrites), elastic.WithRefreshInterval(50 * time.Millisecond)}, []elastic.Option{elastic.WithRefresh(elastic.RefreshNever)}},
	} {
		ns := fmt.Sprint("others", i)
		_, writer := s.open(t, s.Addr(), ns, c.writer...)
		_, reader := s.open(t, s.Addr(), ns, c.reader...)
		for i := range 10 {
			if err := writer.Create(t.Context(), &db.Record{Metadata: map[string]any{"a": "x"}}); err != nil {
				t.Fatal(err)
			}
			if n, err := reader.Count(t.Context(), db.Where(db.Equal("a", "x"))); err != nil || n != int64(i+1) {
				t.Errorf("after %d writes of another: %d, %v", i+1, n, err)
			}
		}
	}
}

func pages(t *testing.T, s *server) {
	_, tb := s.open(t, s.Addr(), "pages")
	var ops []db.Op
	stay := map[string]bool{}
	for i := range 200 {
		id := fmt.Sprintf("m%04d", 10*i)
		stay[id] = true
		ops = append(ops, db.CreateOp(&db.Record{ID: id, Metadata: map[string]any{"owner": "ann", "n": i % 7}}))
	}
	if err := tb.Batch(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() { // others come and go everywhere
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("m%04dx%d", i*37%2000, w)
				tb.Create(ctx, &db.Record{ID: id, Metadata: map[string]any{"owner": "ann", "n": i % 7}})
				tb.Delete(ctx, id)
			}
		})
	}
	for _, order := range []db.SearchOption{db.OrderBy(), db.OrderBy("n"), db.OrderBy("-n", "missing")} {
		seen := map[string]int{}
		for r, err := range tb.All(t.Context(), db.Where(db.Equal("owner", "ann")), order, db.Limit(13)) {
			if err != nil {
				t.Fatal(err)
			}
			seen[r.ID]++
		}
		for id, n := range seen {
			if n != 1 && stay[id] {
				t.Errorf("%s came %d times", id, n)
			}
		}
		for id := range stay {
			if seen[id] == 0 {
				t.Errorf("%s was skipped", id)
			}
		}
	}
	stop()
	wg.Wait()
}

func parts(t *testing.T, s *server) {
	p := netfault.New(t, s.Addr())
	_, tb := s.open(t, p.Addr(), "parts", elastic.WithMaxResponse(64<<10))
	var want []string
	for i := range 20 {
		r := &db.Record{ID: fmt.Sprintf("%02d", i), Metadata: map[string]any{"n": i}, Data: make([]byte, 12_000)}
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		want = append(want, r.ID)
	}
	page, err := tb.Search(t.Context(), db.OrderBy("n"), db.Limit(19))
	if err != nil || len(page.Records) != 19 || page.Next == "" {
		t.Fatalf("%d records, %v, want 19", len(page.Records), err)
	}
	for i, r := range page.Records {
		if r.ID != want[i] || len(r.Data) != 12_000 {
			t.Errorf("record %d is %s with %d bytes", i, r.ID, len(r.Data))
		}
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "large", Data: make([]byte, 60_000)}); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Search(t.Context(), db.Where(db.Equal(db.FieldID, "large"))); !errors.Is(err, db.ErrTooLarge) {
		t.Errorf("a record above the limit: %v, want ErrTooLarge", err)
	}
}

func oneWins(t *testing.T, s *server) {
	_, one := s.open(t, s.Addr(), "wins")
	_, two := s.open(t, s.Addr(), "wins")
	r := &db.Record{ID: "x"}
	if err := one.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			tb := []db.Table{one, two}[i%2]
			c := r.Clone()
			wg.Go(func() {
				switch err := tb.Update(context.Background(), c); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, db.ErrConflict):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 7 {
			t.Errorf("round %d: %d won and %d lost, want 1 and 7", round, won.Load(), lost.Load())
		}
		r.Version++
	}
}

func lost(t *testing.T, s *server) {
	p := netfault.New(t, s.Addr())
	_, tb := s.open(t, p.Addr(), "lost")
	p.CutReplies(1)
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); !errors.Is(err, db.ErrUnknownOutcome) {
		t.Errorf("got %v, want ErrUnknownOutcome", err)
	}
	for end := time.Now().Add(30 * time.Second); ; <-time.After(10 * time.Millisecond) { // the server may be at it still
		_, err := tb.Read(t.Context(), "x")
		if err == nil {
			break
		}
		if !errors.Is(err, db.ErrNotFound) || time.Now().After(end) {
			t.Fatalf("what the server got and did: %v", err)
		}
	}
	p.Refuse()
	p.Reset()
	if err := tb.Create(t.Context(), &db.Record{ID: "y"}); !errors.Is(err, db.ErrUnavailable) && !errors.Is(err, db.ErrUnknownOutcome) {
		t.Errorf("the first write to nobody: %v", err)
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "y"}); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("nobody there: %v, want ErrUnavailable", err)
	}
	p.Heal()
	if err := tb.Create(t.Context(), &db.Record{ID: "y"}); err != nil {
		t.Errorf("there again: %v", err)
	}
}

func pool(t *testing.T, s *server) {
	const most, calls = 4, 1_000 // TestPoolBoundsConnections has more
	p := netfault.New(t, s.Addr())
	_, tb := s.open(t, p.Addr(), "pool", elastic.WithMaxConns(most))
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			for range calls / 16 {
				if _, err := tb.Read(context.Background(), "x"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	if n := p.Counts(); n.Open > 2*most || n.Accepted > calls/20 || n.Requests < calls/16*16 {
		t.Errorf("%d connections, now %d, for %d requests, want up to %d", n.Accepted, n.Open, n.Requests, most)
	}
}

func dropped(t *testing.T, s *server) {
	_, tb := s.open(t, s.Addr(), "dropped", elastic.WithPrefix("pre-"))
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+s.Addr()+"/pre-dropped__things-1", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	_, readErr := tb.Read(t.Context(), "x")
	_, searchErr := tb.Search(t.Context())
	for what, err := range map[string]error{"read": readErr, "search": searchErr, "create": tb.Create(t.Context(), &db.Record{}), "update": tb.Update(t.Context(), &db.Record{ID: "x"}, db.Force()), "delete": tb.Delete(t.Context(), "x")} {
		if !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), "index is gone") {
			t.Errorf("%s: %v, want that the index is gone", what, err)
		}
	}
}

func discovered(t *testing.T, s *server) {
	registry, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if _, err := registry.Register(t.Context(), discovery.Instance{Service: "db.orders", Address: s.Addr(), Labels: map[string]string{cluster.LabelDriver: "elastic"}}); err != nil {
		t.Fatal(err)
	}
	d, err := db.New(cluster.FromDiscovery(registry, "orders", cluster.WithBackend("elastic", func(n cluster.Node) db.Option {
		return elastic.Backend(n.Address, elastic.WithReplicas(0), elastic.WithPrefix(n.Database+"-"))
	})), db.WithDialTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	err = tb.Batch(t.Context(), db.CreateOp(&db.Record{ID: "x", Metadata: map[string]any{"a": "v"}}), db.DeleteOp("none"), db.CreateOp(&db.Record{ID: "y"}))
	var be *db.BatchError
	if !errors.As(err, &be) || len(be.Errs) != 3 || be.Errs[0] != nil || !errors.Is(be.Errs[1], db.ErrNotFound) || be.Errs[2] != nil {
		t.Errorf("a batch through the cluster: %v, want that of write 1 only", err)
	}
	if n, err := tb.Count(t.Context(), db.Where(db.Equal("a", "v"))); err != nil || n != 1 {
		t.Errorf("Count = %d, %v", n, err)
	}
}
