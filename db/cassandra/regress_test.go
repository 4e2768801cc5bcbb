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

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/cluster"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func pool(t *testing.T, server nodes) {
	const most, calls = 3, 1_600
	p := netfault.New(t, server.Addr())
	_, tb, _ := open(t, server.at("", p.Addr(), server.create(), cassandra.WithMaxConns(most)))
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

func client(t *testing.T, server nodes) {
	s := server.session(t)
	d, tb, _ := open(t, cassandra.WithClient(s, server.create(), cassandra.WithKeyspace("Other")))
	must(t, tb.Create(t.Context(), &db.Record{ID: "x"}))
	must(t, d.Close())
	if s.Closed() {
		t.Error("Close closed the caller's session")
	}
	var n int
	must(t, s.Query(`SELECT COUNT(*) FROM "Other".db_tables_`).Scan(&n))
}

func tooLargeForServer(t *testing.T, server nodes) {
	_, tb, _ := open(t, server.backend(), db.WithMaxBytes(64<<20))
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

func keyspaceMissing(t *testing.T, server nodes) {
	d, err := db.New(patient(server.at("", server.Addr(), cassandra.WithKeyspace("nowhere")))...)
	must(t, err)
	defer d.Close()
	if _, err := d.Table(t.Context(), "things"); !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v, want ErrInvalid that names the keyspace", err)
	}
}

func laterSchema(t *testing.T, server nodes) {
	d, _, ns := open(t, server.backend())
	s := server.session(t)
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

func silent(t *testing.T, server nodes) {
	var std, own lines
	defer log.SetOutput(log.Default().Writer())
	log.SetOutput(&std)
	p := netfault.New(t, server.Addr())
	for _, opts := range [][]cassandra.Option{{server.create()}, {server.create(), cassandra.WithLogger(slog.New(slog.NewTextHandler(&own, nil)))}} {
		_, tb, _ := open(t, server.at("", p.Addr(), opts...))
		must(t, tb.Create(t.Context(), &db.Record{ID: "x"}))
		p.Reset()
		eventually(t, "reads work again", func() bool { _, err := tb.Read(t.Context(), "x"); return err == nil })
	}
	if s := std.String(); s != "" {
		t.Errorf("written to the standard log: %s", s)
	}
	eventually(t, "the logger that was given is told", func() bool { return strings.Contains(own.String(), "cassandra: ") })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// encrypted has clients of servers that speak TLS: with all that it takes, without trust in the
// authority, without a certificate, and without TLS.
func encrypted(t *testing.T, server nodes) {
	addr, certs := server.Addr(), server.certs
	if certs == nil {
		certs = servertest.NewCerts(t)
		addr = encrypt(t, addr, certs)
	}
	at := func(opts ...cassandra.Option) db.Option {
		return cassandra.Backend("cassandra://cassandra:cassandra@"+addr, opts...)
	}
	_, tb, _ := open(t, at(server.create(), cassandra.WithTLS(certs.Client)))
	must(t, tb.Create(t.Context(), &db.Record{ID: "x"}))
	if _, err := tb.Read(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	nobody := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: certs.Client.RootCAs}
	for want, opts := range map[string][]cassandra.Option{
		"signed by unknown authority": {cassandra.WithTLS(&tls.Config{MinVersion: tls.VersionTLS12})},
		addr:                          {cassandra.WithTLS(nobody)},
		"does the port expect TLS?":   nil,
	} {
		_, err := db.New(at(opts...), db.WithDialTimeout(20*time.Second))
		if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrUnavailable that says %q", err, want)
		}
	}
}

// encrypt puts TLS before a server.
func encrypt(t *testing.T, addr string, certs *servertest.Certs) string {
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
				out, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				wg.Go(func() { io.Copy(out, in); out.Close() })
				io.Copy(in, out)
			})
		}
	})
	return l.Addr().String()
}

func fromDiscovery(t *testing.T, server nodes) {
	d, err := discovery.New()
	must(t, err)
	defer d.Close()
	_, err = d.Register(t.Context(), discovery.Instance{Service: "db.shop", Address: server.Addr(), Labels: map[string]string{"driver": "cassandra"}})
	must(t, err)
	nodes := cluster.FromDiscovery(d, "shop", cluster.WithBackend("cassandra", func(n cluster.Node) db.Option {
		return cassandra.Backend(n.URL("cassandra"), server.with(server.create())...)
	}), cluster.WithCredentials(func(context.Context, cluster.Node) (cluster.Credentials, error) {
		return cluster.Credentials{User: "cassandra", Password: "cassandra"}, nil
	}))
	database, tb, _ := open(t, nodes)
	if fs := database.Features(); fs.Transactions || !fs.OrderEqual || !fs.Durable || fs.Or {
		t.Errorf("features %+v", fs)
	}
	must(t, tb.Create(t.Context(), &db.Record{ID: "x", Metadata: map[string]any{"a": "v", "n": 1}}))
	if got := found(t, tb, db.Where(db.Equal("a", "v")), db.OrderBy("n")); len(got) != 1 {
		t.Errorf("found %v", got)
	}
	s := server.session(t)
	var n int
	must(t, s.Query("SELECT COUNT(*) FROM shop.db_tables_").Scan(&n)) // the keyspace is the database's name
}

// rights has users without a password, with a wrong one, and without the right to
// write.
func rights(t *testing.T, server nodes) {
	_, tb, ns := open(t, server.backend())
	must(t, tb.Create(t.Context(), &db.Record{ID: "x"}))
	s := server.session(t)
	must(t, s.Query("CREATE ROLE IF NOT EXISTS reader WITH PASSWORD = 'secret' AND LOGIN = true").Exec())
	must(t, s.Query("GRANT SELECT ON KEYSPACE db TO reader").Exec())
	for what, b := range map[string]db.Option{
		"no password":      cassandra.Backend(server.Addr(), server.with()...),
		"a wrong password": server.at("reader:wrong", server.Addr()),
		"no such user":     server.at("nobody:secret", server.Addr()),
	} {
		_, err := db.New(patient(b)...)
		if !errors.Is(err, db.ErrDenied) || strings.Contains(err.Error(), "wrong@") {
			t.Errorf("%s: %v, want ErrDenied", what, err)
		}
	}
	_, reader := openIn(t, ns, server.at("reader:secret", server.Addr()))
	if _, err := reader.Read(t.Context(), "x"); err != nil {
		t.Errorf("Read with the right to: %v", err)
	}
	if err := reader.Create(t.Context(), &db.Record{ID: "y"}); !errors.Is(err, db.ErrDenied) {
		t.Errorf("Create without the right to: %v, want ErrDenied", err)
	}
	if _, err := tb.Read(t.Context(), "y"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("after a refused Create: %v", err)
	}
}
