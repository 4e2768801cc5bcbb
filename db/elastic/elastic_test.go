package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/db/elastic"
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
		{"TableMovesToAnotherIndex", rebuilt},
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
	for end := time.Now().Add(60 * time.Second); n.Load() < 200 && time.Now().Before(end); {
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
	for end := time.Now().Add(60 * time.Second); ; <-time.After(10 * time.Millisecond) { // the server may be at it still
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
