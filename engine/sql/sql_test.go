package sql_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	platformsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/sync"
	syncsql "github.com/micro/go-platform/sync/sql"
)

func TestMain(m *testing.M) { leak.Main(m) }

// program is one that uses four packages.
type program struct {
	records db.DB
	stream  event.Stream
	store   kv.KV
	locks   sync.Sync
}

func open(t *testing.T, e *sql.Engine) (p program) {
	t.Helper()
	var errs [4]error
	p.records, errs[0] = db.New(platformsql.On(e))
	p.stream, errs[1] = event.New(eventsql.On(e), event.WithNamespace("shared"))
	p.store, errs[2] = kv.New(kvsql.On(e), kv.WithNamespace("shared"))
	p.locks, errs[3] = sync.New(syncsql.On(e))
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.records.Close()
		p.stream.Close(context.Background())
		p.store.Close()
		p.locks.Close()
	})
	return p
}

func (p program) work(ctx context.Context) error {
	table, err := p.records.Table(ctx, "orders")
	if err == nil {
		err = table.Update(ctx, &db.Record{ID: "1"}, db.Upsert())
	}
	_, errKV := p.store.Put(ctx, "k", nil)
	l, errSync := p.locks.Lock(ctx, "x")
	if errSync == nil {
		errSync = l.Unlock(ctx)
	}
	return errors.Join(err, errKV, errSync, p.stream.Publish(ctx, &event.Record{Type: "t"}))
}

// However many packages stand on an engine, the server has no more connections
// than its limit, and none after Close.
func TestPackagesShareOnePool(t *testing.T) {
	leak.Check(t)
	server := servertest.Postgres(t)
	admin, err := dbsql.Open("pgx", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	connections := func() (n int) {
		if err := admin.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shared'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// A session that was closed is counted until the server has ended it.
	within := func(limit int) {
		for deadline := time.Now().Add(30 * time.Second); connections() > limit; <-time.After(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections, want at most %d", connections(), limit)
			}
		}
	}
	const limit = 2
	e, err := sql.Open(server.DSN()+"&application_name=shared", sql.WithMaxConns(limit))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := open(t, e)
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() { failed <- p.work(t.Context()) }()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
		within(limit)
	}
	// Who waited for the lock listened on a connection that is closed now.
	if _, err := p.store.Put(t.Context(), "k", nil); err != nil {
		t.Fatal(err)
	}
	within(limit)
	if connections() == 0 {
		t.Error("no connection is kept for the next call")
	}
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.locks.TryLock(t.Context(), "y"); err != nil {
		t.Errorf("after the store is closed: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	within(0)
}

// An engine that is closed under what stands on it gives errors that say so, and
// no write of unknown outcome.
func TestAClosedEngine(t *testing.T) {
	for name, address := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "x.db") },
		"postgres": func() string { return servertest.SharedPostgres(t).DSN() },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			e, err := sql.Open(address())
			if err != nil {
				t.Fatal(err)
			}
			p := open(t, e)
			if err := p.work(t.Context()); err != nil {
				t.Fatal(err)
			}
			table, err := p.records.Table(t.Context(), "orders")
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			for name, c := range map[string]struct {
				do   func() error
				want error
			}{
				"kv":    {func() error { _, err := p.store.Put(t.Context(), "k", nil); return err }, kv.ErrUnavailable},
				"event": {func() error { return p.stream.Publish(t.Context(), &event.Record{Type: "t"}) }, event.ErrUnavailable},
				"sync":  {func() error { _, err := p.locks.TryLock(t.Context(), "y"); return err }, sync.ErrUnavailable},
				"db":    {func() error { return table.Create(t.Context(), &db.Record{ID: "2"}) }, db.ErrUnavailable},
				"Ping":  {func() error { return e.Ping(t.Context()) }, engine.ErrUnavailable},
			} {
				err := c.do()
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "the connection to the database was closed") {
					t.Errorf("%s: %v, want unavailable because the connection was closed", name, err)
				}
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	dir := t.TempDir()
	for addr, c := range map[string]struct {
		opts []sql.Option
		want sql.Dialect
	}{
		"sqlite:" + dir + "/a.db":              {nil, sql.SQLite},
		"sqlite://" + dir + "/b.db":            {nil, sql.SQLite},
		"SQLite::memory:":                      {nil, sql.SQLite},
		dir + "/c.db":                          {[]sql.Option{sql.WithDialect(sql.SQLite)}, sql.SQLite},
		"postgres://u:p@h/d":                   {nil, sql.Postgres},
		"postgresql://u:p@h/d?sslmode=disable": {nil, sql.Postgres},
		"host=h user=u":                        {[]sql.Option{sql.WithDialect(sql.Postgres)}, sql.Postgres},
		"mysql://u:p@h/d":                      {nil, sql.MySQL},
		"mariadb://u:p@h/d":                    {nil, sql.MySQL},
		"u:p@tcp(h:3306)/d":                    {[]sql.Option{sql.WithDialect(sql.MySQL)}, sql.MySQL},
	} {
		e, err := sql.Open(addr, c.opts...)
		if err != nil || e.Dialect() != c.want {
			t.Errorf("%q: %v, %v, want %v", addr, e, err, c.want)
			continue
		}
		if c.want == sql.SQLite {
			if err := e.Ping(t.Context()); err != nil {
				t.Errorf("%q: %v", addr, err)
			}
		}
		e.Close()
	}
	for _, file := range []string{"a.db", "b.db", "c.db"} {
		if found, err := filepath.Glob(filepath.Join(dir, file)); len(found) != 1 {
			t.Errorf("%s was not made: %v", file, err)
		}
	}
}

func TestBadInputIsAnErrorOfOpen(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opts []sql.Option
	}{
		"empty address": {"", nil}, "no scheme": {"shop.db", nil}, "scheme": {"redis://u:s3cret@h", nil}, "port": {"postgres://u:s3cret@h:x/d", nil},
		"no file": {"sqlite:", nil}, "no database": {"mysql://u:s3cret@h", nil}, "another form": {"u:s3cret@tcp(h:3306)/d", nil},
		"nil option": {"sqlite:x", []sql.Option{nil}}, "TLS": {"mysql://h/d", []sql.Option{sql.WithTLS(nil)}}, "connections": {"mysql://h/d", []sql.Option{sql.WithMaxConns(0)}},
		"dialect":   {"x", []sql.Option{sql.WithDialect(0)}},
		"abandoned": {"mysql://h/d", []sql.Option{sql.WithAbandoned(time.Millisecond)}},
	} {
		e, err := sql.Open(c.addr, c.opts...)
		if !errors.Is(err, engine.ErrInvalid) || !strings.HasPrefix(err.Error(), "engine/sql: open: ") || strings.Contains(err.Error(), "s3cret") || e != nil {
			t.Errorf("%s: %v, %v, want ErrInvalid of engine/sql without the password", name, e, err)
		}
	}
	for name, none := range map[string]*sql.Engine{
		"nil engine": nil, "nil database": sql.FromDB(sql.SQLite, nil), "unknown dialect 9": sql.FromDB(9, new(dbsql.DB)),
	} {
		_, errKV := kv.New(kvsql.On(none))
		_, errEvent := event.New(eventsql.On(none))
		_, errDB := db.New(platformsql.On(none))
		_, errSync := sync.New(syncsql.On(none))
		for want, err := range map[error]error{kv.ErrInvalid: errKV, event.ErrInvalid: errEvent, db.ErrInvalid: errDB, sync.ErrInvalid: errSync} {
			if !errors.Is(err, want) || !strings.HasSuffix(err.Error(), name) {
				t.Errorf("on a %s: %v, want ErrInvalid", name, err)
			}
		}
	}
}

// A transaction that its process does nothing about is ended, so that its locks
// are free.
func TestAbandonedTransactionsEnd(t *testing.T) {
	e, err := sql.Open(servertest.SharedPostgres(t).DSN(), sql.WithAbandoned(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	conn, err := e.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var pid int
	if err := conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	tx, err := conn.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(50 * time.Millisecond) {
		var n int
		if err := e.DB().QueryRow("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the transaction is still there")
		}
	}
}
