package cassandra_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

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
		first = !c.first
		if !first {
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
		cl.Authenticator, cl.Dialer, cl.ProtoVersion, cl.NumConns, cl.Timeout, cl.ConnectTimeout, cl.ReconnectInterval = login, c, 5, conns, time.Minute, time.Minute, 100*time.Millisecond
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
			if got := found(t, direct); len(got) != 1 {
				t.Errorf("answer %d of %d connections lost: a search finds %v", 1+i%4, conns, got)
			}
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
	if got, err := tb.Read(t.Context(), "x"); err != nil || got.Version != r.Version {
		t.Errorf("read %+v, %v", got, err)
	}
	must(t, tb.Update(t.Context(), r))
}

// closeWhileItReconnects cuts all connections and closes the database at some
// moment of what the driver does then. leak.Check finds what it leaves behind.
func closeWhileItReconnects(t *testing.T, server *servertest.Server) {
	ns := "t" + db.NewID()[28:]
	for i := range 8 {
		p := netfault.New(t, server.Addr())
		d, err := db.New(patient(cassandra.Backend(at(p.Addr()), cassandra.WithCreate(1)), db.WithNamespace(ns))...)
		must(t, err)
		_, err = d.Table(t.Context(), "things")
		must(t, err)
		p.Reset()
		time.Sleep(time.Duration(i) * 4 * time.Millisecond) // the moments are the point
		start := time.Now()
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Close took %v, %d ms after all connections were lost", took, 4*i)
		}
	}
}
