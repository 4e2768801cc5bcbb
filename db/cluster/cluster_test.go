package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cluster"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// stage is a registry and the nodes in it.
type stage struct {
	t testing.TB
	d discovery.Discovery

	mu     sync.Mutex
	opened map[string]int // pools made, by node
	fakes  map[string]*fake
	regs   map[string]discovery.Registration
}

func newStage(t testing.TB) *stage {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return &stage{t: t, d: d, opened: map[string]int{}, fakes: map[string]*fake{}, regs: map[string]discovery.Registration{}}
}

func (s *stage) register(id, driver, role string) {
	s.t.Helper()
	r, err := s.d.Register(s.t.Context(), discovery.Instance{ID: id, Service: "db.orders", Address: id + ":1", Labels: map[string]string{"driver": driver, "role": role}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.regs[id] = r
}

// fake is a node in memory that can fail.
type fake struct {
	db.Driver
	mu     sync.Mutex
	fail   error
	hang   bool
	calls  int
	closed bool
}

func (f *fake) enter(ctx context.Context) error {
	f.mu.Lock()
	f.calls++
	fail, hang := f.fail, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return fail
}

func (f *fake) Get(ctx context.Context, table, id string) (*db.Record, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	return f.Driver.Get(ctx, table, id)
}

func (f *fake) Put(ctx context.Context, table string, r *db.Record, c db.Condition) error {
	if err := f.enter(ctx); err != nil {
		return err
	}
	return f.Driver.Put(ctx, table, r, c)
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.Driver.Close()
}

func (f *fake) set(err error, hang bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.hang = err, hang
}

func (f *fake) state() (calls int, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls, f.closed
}

// backend opens fakes on one shared memory, as if they replicated at once.
func (s *stage) backend() cluster.Option {
	shared, err := db.Memory().OpenDriver(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return cluster.WithBackend("fake", func(n cluster.Node) db.Option {
		return db.WithDriver("fake", func(context.Context) (db.Driver, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.opened[n.ID]++
			f := &fake{Driver: shared}
			s.fakes[n.ID] = f
			return f, nil
		})
	})
}

func (s *stage) fake(id string) *fake {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fakes[id]
}

func (s *stage) open(opts ...cluster.Option) (db.DB, db.Table) {
	s.t.Helper()
	d, err := db.New(cluster.FromDiscovery(s.d, "orders", append(opts, s.backend())...), db.WithTimeout(3*time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { d.Close() })
	tb, err := d.Table(s.t.Context(), "things")
	if err != nil {
		s.t.Fatal(err)
	}
	return d, tb
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func TestConformance(t *testing.T) {
	s := newStage(t)
	s.register("one", "sqlite", cluster.Primary)
	if _, err := s.d.Get(t.Context(), "db.orders"); err != nil { // followed from here on, not from a case on
		t.Fatal(err)
	}
	dbtest.Run(t, dbtest.Harness{Open: func(t testing.TB, opts ...db.Option) db.DB {
		d, err := db.New(append(opts, cluster.FromDiscovery(s.d, "orders", cluster.WithBackend("sqlite", func(cluster.Node) db.Option { return sql.SQLite(":memory:") })))...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}})
}

func TestWritesGoToThePrimaryAndReadsInTurnToReplicas(t *testing.T) {
	leak.Check(t)
	s := newStage(t)
	s.register("p", "fake", cluster.Primary)
	s.register("r1", "fake", cluster.Replica)
	s.register("r2", "fake", cluster.Replica)
	s.register("x", "unknown", cluster.Primary)
	d, tb := s.open(cluster.WithReplicaReads())
	if d.Features().Immediate {
		t.Error("reads of replicas are promised to be immediate")
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := tb.Read(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := s.fake("p").state()
	r1, _ := s.fake("r1").state()
	r2, _ := s.fake("r2").state()
	if p != 1 || r1 != 5 || r2 != 5 {
		t.Errorf("calls of primary and replicas: %d, %d, %d, want 1, 5, 5", p, r1, r2)
	}
	if s.opened["p"] != 1 || s.opened["r1"] != 1 {
		t.Errorf("pools made: %v, want one a node", s.opened)
	}
}

func TestReadsGoToThePrimaryUnlessReplicasMay(t *testing.T) {
	s := newStage(t)
	s.register("a", "fake", cluster.Replica)
	s.register("p", "fake", "") // a node is a primary unless it says otherwise
	_, tb := s.open()
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Read(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if n, _ := s.fake("p").state(); n != 2 {
		t.Errorf("the primary had %d calls, want 2", n)
	}
}

func TestCallsGoOnWhereNothingWasDone(t *testing.T) {
	s := newStage(t)
	s.register("a", "fake", cluster.Primary)
	s.register("b", "fake", cluster.Primary)
	_, tb := s.open()
	create := func() error { return tb.Create(t.Context(), &db.Record{}) }
	if err := create(); err != nil {
		t.Fatal(err)
	}
	s.fake("a").set(fault.Markf(fault.Unavailable, "down"), false)
	for range 3 {
		if err := create(); err != nil {
			t.Errorf("with one node down: %v", err)
		}
	}
	if n, _ := s.fake("a").state(); n != 2 {
		t.Errorf("the node that is down had %d calls, want 2: one before, one that failed", n)
	}
	s.fake("b").set(fault.Markf(fault.UnknownOutcome, "lost"), false)
	s.fake("a").set(nil, false)
	before, _ := s.fake("a").state()
	if err := create(); !errors.Is(err, db.ErrUnknownOutcome) {
		t.Errorf("an unknown outcome: %v, want ErrUnknownOutcome", err)
	}
	if n, _ := s.fake("a").state(); n != before {
		t.Error("a write that may have been done was done again elsewhere")
	}
	s.fake("a").set(fault.Markf(fault.Unavailable, "a down"), false)
	s.fake("b").set(fault.Markf(fault.Unavailable, "b down"), false)
	if err := create(); !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "a down") || !strings.Contains(err.Error(), "b:1") {
		t.Errorf("all down: %v, want ErrUnavailable that names both", err)
	}
}

func TestAReplicaThatHangsLeavesTimeForAnother(t *testing.T) {
	synctest.Test(t, hangingReplica)
}

func hangingReplica(t *testing.T) {
	s := newStage(t)
	s.register("p", "fake", cluster.Primary)
	s.register("r", "fake", cluster.Replica)
	_, tb := s.open(cluster.WithReplicaReads())
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Read(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	s.fake("r").set(nil, true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := tb.Read(ctx, "x"); err != nil {
		t.Error(err)
	}
}

func TestNodesAreFollowed(t *testing.T) {
	leak.Check(t)
	s := newStage(t)
	s.register("a", "fake", cluster.Primary)
	s.register("b", "fake", cluster.Replica)
	d, tb := s.open(cluster.WithReplicaReads())
	if _, err := tb.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := s.fake("a")
	// The replica is promoted and keeps its pool; the primary leaves.
	if err := s.regs["b"].Update(t.Context(), func(in *discovery.Instance) { in.Labels = map[string]string{"driver": "fake", "role": cluster.Primary} }); err != nil {
		t.Fatal(err)
	}
	if err := s.regs["a"].Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pool of a node that left is closed", func() bool { _, closed := old.state(); return closed })
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Errorf("after the promotion: %v", err)
	}
	if s.opened["b"] != 1 {
		t.Errorf("%d pools of b, want 1", s.opened["b"])
	}
	if err := s.regs["b"].Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a database without nodes says so", func() bool {
		err := tb.Create(t.Context(), &db.Record{})
		return errors.Is(err, db.ErrUnavailable) && strings.Contains(err.Error(), "db.orders")
	})
	s.register("c", "fake", cluster.Primary)
	eventually(t, "a new node is used", func() bool { return tb.Create(t.Context(), &db.Record{}) == nil })
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, closed := s.fake("c").state(); !closed {
		t.Error("Close left a pool open")
	}
}

func TestNoNodeThatFitsIsABoundedError(t *testing.T) {
	for name, put := range map[string]func(s *stage){
		"nothing":        func(*stage) {},
		"no driver":      func(s *stage) { s.register("a", "", cluster.Primary); s.register("b", "", cluster.Primary) },
		"other driver":   func(s *stage) { s.register("a", "mongodb", cluster.Primary) },
		"only a replica": func(s *stage) { s.register("a", "fake", cluster.Replica) },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s := newStage(t)
			put(s)
			_, err := db.New(cluster.FromDiscovery(s.d, "orders", s.backend()), db.WithDialTimeout(5*time.Second))
			if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "no node of db.orders fits") {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestCredentialsComeFromTheProgram(t *testing.T) {
	s := newStage(t)
	s.register("a", "fake", cluster.Primary)
	var urls []string
	see := cluster.WithBackend("fake", func(n cluster.Node) db.Option {
		urls = append(urls, n.URL("postgres"))
		if shown := fmt.Sprintf("%v %+v %#v", n, n, n); strings.Contains(shown, "p@ss") {
			t.Errorf("a node prints its password: %s", shown)
		}
		return db.Memory()
	})
	d, err := db.New(cluster.FromDiscovery(s.d, "orders", see, cluster.WithCredentials(func(_ context.Context, n cluster.Node) (cluster.Credentials, error) {
		return cluster.Credentials{User: "of-" + n.ID, Password: "p@ss/"}, nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if len(urls) != 1 || urls[0] != "postgres://of-a:p%40ss%2F@a:1/orders" {
		t.Errorf("got %q", urls)
	}
	_, err = db.New(cluster.FromDiscovery(s.d, "orders", see, cluster.WithCredentials(func(context.Context, cluster.Node) (cluster.Credentials, error) {
		return cluster.Credentials{}, errors.New("vault is sealed")
	})))
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "vault is sealed") {
		t.Errorf("got %v, want ErrUnavailable that says why", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	s := newStage(t)
	for name, o := range map[string]db.Option{
		"nil discovery": cluster.FromDiscovery(nil, "orders", s.backend()), "name": cluster.FromDiscovery(s.d, "", s.backend()), "odd name": cluster.FromDiscovery(s.d, "a b", s.backend()),
		"no backend": cluster.FromDiscovery(s.d, "orders"), "nil option": cluster.FromDiscovery(s.d, "orders", nil), "twice": cluster.FromDiscovery(s.d, "orders", s.backend(), s.backend()),
		"nil credentials": cluster.FromDiscovery(s.d, "orders", s.backend(), cluster.WithCredentials(nil)),
	} {
		if _, err := db.New(o); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// Two servers that know nothing of each other: the tables are made on the
// second one too when the first one is gone.
func TestFailOverBetweenServers(t *testing.T) {
	first, second := servertest.Postgres(t), servertest.SharedPostgres(t)
	s := newStage(t)
	addrs := map[string]string{"a": first.DSN(), "b": second.DSN()}
	s.register("a", "postgres", cluster.Primary)
	s.register("b", "postgres", cluster.Primary)
	d, err := db.New(cluster.FromDiscovery(s.d, "orders", cluster.WithBackend("postgres", func(n cluster.Node) db.Option { return sql.Postgres(addrs[n.ID]) })),
		db.WithNamespace("failover"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	if p, err := tb.Explain(t.Context()); err != nil || p.Engine == "" {
		t.Errorf("Explain: %+v, %v, want the server's words", p, err)
	}
	first.Kill()
	eventually(t, "writes go to the other server", func() bool {
		return tb.Update(t.Context(), &db.Record{ID: "y"}, db.Upsert()) == nil
	})
	if err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		x, err := tx.Table(ctx, "things")
		if err != nil {
			return err
		}
		return x.Update(ctx, &db.Record{ID: "z"}, db.Upsert())
	}); err != nil {
		t.Errorf("a transaction on the other server: %v", err)
	}
}
