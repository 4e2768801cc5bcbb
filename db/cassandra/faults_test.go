package cassandra_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/internal/netfault"
)

// cutter makes connections that can be cut at a statement, before it is sent or between it
// and its answer.
type cutter struct {
	net.Dialer
	tls        *tls.Config // nil: none
	mu         sync.Mutex
	left       int    // statements until the one that is lost; 0: none
	unsent     bool   // it is lost before it is sent
	meanwhile  func() // once it is lost, and before anybody knows
	open, cuts int
	first      bool // has been made
}

func (c *cutter) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if c.tls != nil {
		conn = tls.Client(conn, c.tls)
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

// execute is the opcode of a statement, which a heartbeat is not, and where it is in what
// is written of a request of version 5.
const (
	execute   = 0x0a
	executeAt = 6 + 4
)

func (c *cutConn) Write(b []byte) (int, error) {
	unsent := false
	c.of.count(func() {
		if len(b) <= executeAt || b[executeAt] != execute {
			return
		}
		if c.of.left == 1 {
			c.cut = true
			c.of.cuts++
			unsent = c.of.unsent
		}
		c.of.left = max(c.of.left-1, 0)
	})
	if unsent {
		return 0, c.lose()
	}
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	lost := false
	c.of.count(func() { lost = c.cut && !c.of.unsent })
	if lost {
		return 0, c.lose()
	}
	return n, err
}

// lose ends the connection.
func (c *cutConn) lose() error {
	var meanwhile func()
	c.of.count(func() { meanwhile, c.of.meanwhile = c.of.meanwhile, nil })
	if meanwhile != nil {
		meanwhile()
	}
	c.Close()
	return io.ErrUnexpectedEOF
}

func (c *cutConn) Close() error {
	c.once.Do(func() { c.of.count(func() { c.of.open-- }) })
	return c.Conn.Close()
}

// cut opens a table over connections to one node that can be cut, and the same one past them.
func cut(t *testing.T, server nodes, conns int) (c *cutter, tb, direct db.Table) {
	c = &cutter{}
	cl := server.config(server.Addr())
	cl.HostFilter = gocql.WhiteListHostFilter(server.host())
	if cl.SslOpts != nil { // what is cut has to be read
		c.tls, cl.SslOpts = server.certs.Client.Clone(), nil
		c.tls.ServerName = server.host()
	}
	cl.Dialer, cl.ProtoVersion, cl.NumConns, cl.ReconnectInterval = c, 5, conns, 100*time.Millisecond
	s, err := cl.CreateSession()
	must(t, err)
	t.Cleanup(s.Close)
	_, tb, ns := open(t, cassandra.WithClient(s, server.create()))
	_, direct = openIn(t, ns, server.backend())
	r := &db.Record{ID: "x"}
	must(t, tb.Create(t.Context(), r))
	must(t, tb.Update(t.Context(), r)) // all statements are known to the server
	return c, tb, direct
}

// whole waits until all connections are there.
func whole(t *testing.T, c *cutter, conns int, tb db.Table) {
	t.Helper()
	eventually(t, "the connections are there", func() bool {
		_, err := tb.Read(t.Context(), "x")
		ready := false
		c.count(func() { ready = err == nil && c.open >= conns })
		return ready
	})
}

// lostAnswers loses the answer to each of the requests that a write consists
// of, with another connection left to ask again and without one.
func lostAnswers(t *testing.T, server nodes) {
	seen := map[string]int{}
	for conns := 1; conns <= 2; conns++ {
		c, tb, direct := cut(t, server, conns)
		for i := range 12 {
			whole(t, c, conns, tb)
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
	// 12 and 12, the last two steps of four and the first two, unless one of two connections
	// was there and could not be used yet.
	if seen["applied"] < 6 || seen["not applied"] < 6 {
		t.Errorf("seen %v, want 12 applied and 12 not applied", seen)
	}
}

// lostDecisions loses the lightweight transaction of a write, or its answer, while
// somebody else writes and while nobody does.
func lostDecisions(t *testing.T, server nodes) {
	c, tb, direct := cut(t, server, 1)
	live := []string{"x"}
	for _, call := range []struct {
		name  string
		steps int // of which the last is the transaction
		do    func(r *db.Record) error
	}{
		{"Create", 2, func(r *db.Record) error { return tb.Create(t.Context(), r) }},
		{"Update", 3, func(r *db.Record) error { return tb.Update(t.Context(), r) }},
		{"Force", 3, func(r *db.Record) error { return tb.Update(t.Context(), r, db.Force()) }},
		{"Delete", 2, func(r *db.Record) error { return tb.Delete(t.Context(), r.ID) }},
	} {
		for _, lost := range []struct {
			unsent    bool
			meanwhile string // what somebody else does
			want      map[string]error
			stored    map[string]string // what the record has then; "": there is none
		}{
			{true, "", map[string]error{}, map[string]string{"Create": "ours", "Update": "ours", "Force": "ours"}},
			{false, "", map[string]error{"Delete": db.ErrUnknownOutcome}, map[string]string{"Create": "ours", "Update": "ours", "Force": "ours"}},
			{true, "write", map[string]error{"Create": db.ErrUnknownOutcome, "Update": db.ErrConflict}, map[string]string{"Create": "theirs", "Update": "theirs", "Force": "ours"}},
			{false, "write", map[string]error{"Delete": db.ErrUnknownOutcome}, map[string]string{"Create": "theirs", "Update": "theirs", "Force": "theirs", "Delete": "theirs"}},
			{true, "delete", map[string]error{"Update": db.ErrUnknownOutcome, "Force": db.ErrUnknownOutcome, "Delete": db.ErrUnknownOutcome}, map[string]string{"Create": "ours"}},
			{false, "delete", map[string]error{"Delete": db.ErrUnknownOutcome}, map[string]string{}},
		} {
			what := fmt.Sprintf("%s, unsent %v, meanwhile %q", call.name, lost.unsent, lost.meanwhile)
			r := &db.Record{ID: db.NewID()}
			if call.name != "Create" {
				must(t, direct.Create(t.Context(), r))
			}
			r.Data = []byte("ours")
			whole(t, c, 1, tb)
			c.count(func() {
				c.left, c.unsent = call.steps, lost.unsent
				c.meanwhile = func() {
					var err error
					switch lost.meanwhile {
					case "write":
						err = direct.Update(t.Context(), &db.Record{ID: r.ID, Data: []byte("theirs")}, db.Upsert())
					case "delete":
						err = direct.Delete(t.Context(), r.ID)
					}
					if err != nil && !errors.Is(err, db.ErrNotFound) {
						t.Error(err)
					}
				}
			})
			err := call.do(r)
			if want := lost.want[call.name]; !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
			stored := ""
			got, err := direct.Read(t.Context(), r.ID)
			if err == nil {
				stored, live = string(got.Data), append(live, r.ID)
			} else if !errors.Is(err, db.ErrNotFound) {
				t.Fatal(err)
			}
			if want := lost.stored[call.name]; stored != want {
				t.Errorf("%s: %q is stored, want %q", what, stored, want)
			}
		}
	}
	if c.cuts != 24 {
		t.Errorf("%d of 24 transactions were lost", c.cuts)
	}
	slices.Sort(live)
	if got := found(t, direct); !slices.Equal(got, live) {
		t.Errorf("a search finds %v, want %v", got, live)
	}
}

func tooFewCopies(t *testing.T, server nodes) {
	_, tb, _ := open(t, server.backend(cassandra.WithKeyspace("few")))
	r := &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}}
	must(t, tb.Create(t.Context(), r))
	s := server.session(t)
	copies := func(n int) {
		must(t, s.Query(fmt.Sprintf("ALTER KEYSPACE few WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': %d}", n)).Exec())
	}
	copies(2*len(server.all) + 1) // most of them are on nodes that are not there
	_, readErr := tb.Read(t.Context(), "x")
	_, searchErr := tb.Search(t.Context(), db.Where(db.Equal("a", "v")))
	for what, err := range map[string]error{
		"Read": readErr, "Search": searchErr, "Create": tb.Create(t.Context(), &db.Record{ID: "y"}), "Update": tb.Update(t.Context(), r.Clone()), "Delete": tb.Delete(t.Context(), "x"),
	} {
		if !errors.Is(err, db.ErrUnavailable) || errors.Is(err, db.ErrUnknownOutcome) {
			t.Errorf("%s: %v, want ErrUnavailable", what, err)
		}
	}
	copies(len(server.all))
	if got, err := tb.Read(t.Context(), "x"); err != nil || got.Version != r.Version {
		t.Errorf("read %+v, %v", got, err)
	}
	must(t, tb.Update(t.Context(), r))
}

// closeWhileItReconnects cuts all connections and closes the database at some
// moment of what the driver does then. leak.Check finds what it leaves behind.
func closeWhileItReconnects(t *testing.T, server nodes) {
	ns := "t" + db.NewID()[28:]
	for i := range 8 {
		p := netfault.New(t, server.Addr())
		d, err := db.New(patient(server.at("", p.Addr(), server.create()), db.WithNamespace(ns))...)
		must(t, err)
		_, err = d.Table(t.Context(), "things")
		must(t, err)
		p.Reset()
		time.Sleep(time.Duration(i) * 4 * time.Millisecond) // the moments are the point
		start := time.Now()
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("Close took %v, %d ms after all connections were lost", took, 4*i)
		}
	}
}
