package cassandra_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/cluster"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func pool(t *testing.T, server *servertest.Server) {
	const most, calls = 3, 10_000
	p := netfault.New(t, server.Addr())
	_, tb, _ := open(t, cassandra.Backend(p.Addr(), cassandra.WithCreate(1), cassandra.WithMaxConns(most)))
	must(t, tb.Create(t.Context(), &db.Record{ID: "x"}))
	made := p.Counts().Accepted
	highest, done := 0, make(chan struct{})
	var watch, work sync.WaitGroup
	watch.Go(func() {
		for {
			highest = max(highest, p.Counts().Open)
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
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
	close(done)
	watch.Wait()
	if highest == 0 || highest > most+1 {
		t.Errorf("up to %d connections, want 1 to %d and one that follows the cluster", highest, most)
	}
	if n := p.Counts().Accepted - made; n > most {
		t.Errorf("%d connections were made for %d calls", n, calls)
	}
}

func client(t *testing.T, server *servertest.Server) {
	s := session(t, server.Addr())
	d, tb, _ := open(t, cassandra.WithClient(s, cassandra.WithCreate(1), cassandra.WithKeyspace("Other")))
	must(t, tb.Create(t.Context(), &db.Record{ID: "x"}))
	must(t, d.Close())
	if s.Closed() {
		t.Error("Close closed the caller's session")
	}
	var n int
	must(t, s.Query(`SELECT COUNT(*) FROM "Other".db_tables_`).Scan(&n))
}

// cutter makes connections that can be cut between a request and its answer.
type cutter struct {
	net.Dialer
	mu         sync.Mutex
	left       int // requests until the one whose answer is lost; 0: none
	open, cuts int
	first      bool // has been made
}

func (c *cutter) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	first := false
	c.count(func() {
		if first = !c.first; !first {
			c.open++
		}
		c.first = true
	})
	if first { // it follows the cluster's state, all the time
		return conn, nil
	}
	return &cutConn{Conn: conn, of: c}, nil
}

func (c *cutter) count(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

type cutConn struct {
	net.Conn
	of   *cutter
	cut  bool
	once sync.Once
}

func (c *cutConn) Write(b []byte) (int, error) {
	c.of.count(func() {
		if c.of.left == 1 {
			c.cut = true
			c.of.cuts++
		}
		c.of.left = max(c.of.left-1, 0)
	})
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	lost := false
	c.of.count(func() { lost = c.cut })
	if lost {
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *cutConn) Close() error {
	c.once.Do(func() { c.of.count(func() { c.of.open-- }) })
	return c.Conn.Close()
}

// lostAnswers loses the answer to each of the requests that a write consists
// of, with another connection left to ask again and without one.
func lostAnswers(t *testing.T, server *servertest.Server) {
	seen := map[string]int{}
	for conns := 1; conns <= 2; conns++ {
		c := &cutter{}
		cl := gocql.NewCluster(server.Addr())
		cl.Dialer, cl.ProtoVersion, cl.NumConns, cl.Timeout, cl.ConnectTimeout, cl.ReconnectInterval = c, 5, conns, time.Minute, time.Minute, 100*time.Millisecond
		s, err := cl.CreateSession()
		must(t, err)
		t.Cleanup(s.Close)
		_, tb, ns := open(t, cassandra.WithClient(s, cassandra.WithCreate(1)))
		_, direct := openIn(t, ns, backend(server))
		r := &db.Record{ID: "x"}
		must(t, tb.Create(t.Context(), r))
		must(t, tb.Update(t.Context(), r)) // all statements are known to the server
		for i := range 12 {
			eventually(t, "the connections are there", func() bool {
				tb.Read(t.Context(), "x")
				ready := false
				c.count(func() { ready = c.open >= conns })
				return ready
			})
			r, err := direct.Read(t.Context(), "x")
			must(t, err)
			before := r.Version
			c.count(func() { c.left = 1 + i%4 })
			err = tb.Update(t.Context(), r)
			c.count(func() { c.left = 0 })
			after, e := direct.Read(t.Context(), "x")
			must(t, e)
			switch {
			case err == nil && r.Version == before+1 && after.Version == before+1:
				seen["applied"]++
			case errors.Is(err, db.ErrUnknownOutcome) && r.Version == before && after.Version <= before+1:
				seen["unknown"]++
			case errors.Is(err, db.ErrUnavailable) && !errors.Is(err, db.ErrUnknownOutcome) && after.Version == before:
				seen["not applied"]++
			default:
				t.Errorf("answer %d of %d connections lost: %v, and the version is %d after %d", 1+i%4, conns, err, after.Version, before)
			}
		}
		if c.cuts < 6 {
			t.Errorf("%d of 12 answers were lost", c.cuts)
		}
	}
	// 9, 3 and 12, unless a heartbeat came between: those of the last step, and
	// those of the deciding one if there was somebody to ask.
	if seen["applied"] < 7 || seen["unknown"] == 0 || seen["not applied"] == 0 {
		t.Errorf("seen %v, want 9 applied, 3 unknown and 12 not applied", seen)
	}
}

func tooFewCopies(t *testing.T, server *servertest.Server) {
	_, tb, _ := open(t, backend(server, cassandra.WithKeyspace("few")))
	r := &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}}
	must(t, tb.Create(t.Context(), r))
	s := session(t, server.Addr())
	must(t, s.Query("ALTER KEYSPACE few WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 3}").Exec())
	_, readErr := tb.Read(t.Context(), "x")
	_, searchErr := tb.Search(t.Context(), db.Where(db.Equal("a", "v")))
	for what, err := range map[string]error{
		"Read": readErr, "Search": searchErr, "Create": tb.Create(t.Context(), &db.Record{ID: "y"}), "Update": tb.Update(t.Context(), r.Clone()), "Delete": tb.Delete(t.Context(), "x"),
	} {
		if !errors.Is(err, db.ErrUnavailable) || errors.Is(err, db.ErrUnknownOutcome) {
			t.Errorf("%s: %v, want ErrUnavailable", what, err)
		}
	}
	must(t, s.Query("ALTER KEYSPACE few WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}").Exec())
	if got, err := tb.Read(t.Context(), "x"); err != nil || got.Version != 1 {
		t.Errorf("read %+v, %v", got, err)
	}
	must(t, tb.Update(t.Context(), r))
}

func tooLargeForServer(t *testing.T, server *servertest.Server) {
	_, tb, _ := open(t, backend(server), db.WithMaxBytes(64<<20))
	for _, size := range []int{3 << 20, 20 << 20} { // more than half of a commit log's segment, more than a frame
		err := tb.Create(t.Context(), &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}, Data: make([]byte, size)})
		if !errors.Is(err, db.ErrTooLarge) {
			t.Errorf("%d MiB: %v, want ErrTooLarge", size>>20, err)
		}
	}
	if _, err := tb.Read(t.Context(), "x"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("Read: %v, want ErrNotFound", err)
	}
	must(t, tb.Create(t.Context(), &db.Record{ID: "x", Data: make([]byte, 1<<20)}))
}

func keyspaceMissing(t *testing.T, server *servertest.Server) {
	d, err := db.New(patient(cassandra.Backend(server.Addr(), cassandra.WithKeyspace("nowhere")))...)
	must(t, err)
	defer d.Close()
	if _, err := d.Table(t.Context(), "things"); !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v, want ErrInvalid that names the keyspace", err)
	}
}

func laterSchema(t *testing.T, server *servertest.Server) {
	d, _, ns := open(t, backend(server))
	s := session(t, server.Addr())
	must(t, s.Query("UPDATE db.db_tables_ SET version = 99 WHERE name = ?", ns+"__things").Exec())
	if _, err := d.Table(t.Context(), "things"); !errors.Is(err, db.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}

// lines collects what is written to it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func silent(t *testing.T, server *servertest.Server) {
	var std, own lines
	log.SetOutput(&std)
	defer log.SetOutput(log.Default().Writer())
	p := netfault.New(t, server.Addr())
	for _, opts := range [][]cassandra.Option{{cassandra.WithCreate(1)}, {cassandra.WithCreate(1), cassandra.WithLogger(slog.New(slog.NewTextHandler(&own, nil)))}} {
		_, tb, _ := open(t, cassandra.Backend(p.Addr(), opts...))
		must(t, tb.Create(t.Context(), &db.Record{ID: "x"}))
		p.Reset()
		eventually(t, "reads work again", func() bool { _, err := tb.Read(t.Context(), "x"); return err == nil })
	}
	if s := std.String(); s != "" {
		t.Errorf("written to the standard log: %s", s)
	}
	if s := own.String(); !strings.Contains(s, "cassandra: ") {
		t.Errorf("nothing in the logger that was given: %q", s)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// encrypted puts TLS before the server.
func encrypted(t *testing.T, server *servertest.Server) {
	certs := servertest.NewCerts(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", certs.Server)
	must(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer in.Close()
				out, err := net.Dial("tcp", server.Addr())
				if err != nil {
					return
				}
				wg.Go(func() { io.Copy(out, in); out.Close() })
				io.Copy(in, out)
			})
		}
	})
	_, tb, _ := open(t, cassandra.Backend(l.Addr().String(), cassandra.WithCreate(1), cassandra.WithTLS(certs.Client)))
	must(t, tb.Create(t.Context(), &db.Record{ID: "x"}))
	if _, err := tb.Read(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	stranger := &tls.Config{MinVersion: tls.VersionTLS12}
	_, err = db.New(cassandra.Backend(l.Addr().String(), cassandra.WithTLS(stranger)), db.WithDialTimeout(20*time.Second))
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody vouches for: %v, want ErrUnavailable that says so", err)
	}
}

func fromDiscovery(t *testing.T, server *servertest.Server) {
	d, err := discovery.New()
	must(t, err)
	defer d.Close()
	_, err = d.Register(t.Context(), discovery.Instance{Service: "db.shop", Address: server.Addr(), Labels: map[string]string{"driver": "cassandra"}})
	must(t, err)
	nodes := cluster.FromDiscovery(d, "shop", cluster.WithBackend("cassandra", func(n cluster.Node) db.Option {
		return cassandra.Backend(n.URL("cassandra"), cassandra.WithCreate(1))
	}))
	database, tb, _ := open(t, nodes)
	if fs := database.Features(); fs.Transactions || !fs.OrderEqual || !fs.Durable || fs.Or {
		t.Errorf("features %+v", fs)
	}
	must(t, tb.Create(t.Context(), &db.Record{ID: "x", Metadata: map[string]any{"a": "v", "n": 1}}))
	if got := found(t, tb, db.Where(db.Equal("a", "v")), db.OrderBy("n")); len(got) != 1 {
		t.Errorf("found %v", got)
	}
	s := session(t, server.Addr())
	var n int
	must(t, s.Query("SELECT COUNT(*) FROM shop.db_tables_").Scan(&n)) // the keyspace is the database's name
}
