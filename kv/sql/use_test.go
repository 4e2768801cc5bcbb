package sql_test

import (
	"bytes"
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/sql"
)

// engine is a database and a way to look into it with another client.
type engine struct {
	name    string
	dialect enginesql.Dialect
	backend kv.Option
	driver  string
	dsn     string
}

func engines(t *testing.T) []engine {
	file := filepath.Join(t.TempDir(), "kv.db")
	my, pg := servertest.SharedMariaDB(t), servertest.SharedPostgres(t)
	mine := my.DSN() + "mysql?clientFoundRows=true"
	return []engine{
		{"sqlite", enginesql.SQLite, sql.SQLite(file), "sqlite", file},
		{"mysql", enginesql.MySQL, sql.MySQL(mine), "mysql", mine},
		{"postgres", enginesql.Postgres, sql.Postgres(pg.DSN()), "pgx", pg.DSN()},
	}
}

func (e engine) own(t *testing.T) *dbsql.DB {
	t.Helper()
	db, err := dbsql.Open(e.driver, e.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *dbsql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// A watch that was cut off while rows that it had not seen were removed reads
// the state again; so does one whose database lost everything.
func TestWatchAfterALoss(t *testing.T) {
	for _, e := range engines(t) {
		for what, loss := range map[string][]string{
			"cleaned": {"DELETE FROM kv_items WHERE until > 0", "UPDATE kv_state SET cleaned = rev + 1, rev = rev + 2"},
			"wiped":   {"DELETE FROM kv_items", "UPDATE kv_state SET rev = 1, cleaned = 0"},
		} {
			t.Run(e.name+"/"+what, func(t *testing.T) {
				db := e.own(t)
				store := opener(e.backend)(t, kv.WithNamespace("loss"+what))
				defer store.Close()
				for _, k := range []string{"kept", "lost"} {
					if _, err := store.Put(t.Context(), k, []byte("1")); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				synced, gone := 0, false
				for ev, err := range store.Watch(ctx, "") {
					if ctx.Err() != nil {
						t.Fatal("the watch never heard of the loss")
					}
					if err != nil {
						continue
					}
					switch ev.Kind {
					case kv.EventSynced:
						if synced++; synced == 1 {
							exec(t, db, "DELETE FROM kv_items WHERE k = "+literal(e, "loss"+what+"/lost"))
							for _, q := range loss {
								exec(t, db, q)
							}
						}
					case kv.EventDelete:
						gone = gone || ev.Item.Key == "lost"
					}
					if gone {
						return
					}
				}
			})
		}
	}
}

// A revision from before the tables were lost is none of what was written since,
// and the call that meets their absence says that it may be made again.
func TestRevisionsRiseOverALossOfTheTables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kv.db")
	store := opener(sql.SQLite(file))(t)
	defer store.Close()
	db, err := dbsql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var last kv.Revision
	for range 3 {
		rev, err := store.Put(t.Context(), "k", []byte("1"))
		if last != 0 {
			if !errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("the first write without tables: %v, want ErrUnavailable", err)
			}
			rev, err = store.Put(t.Context(), "k", []byte("1"))
		}
		if err != nil {
			t.Fatal(err)
		}
		if rev <= last {
			t.Fatalf("revision %d behind %d", rev, last)
		}
		if last != 0 {
			if _, err := store.Put(t.Context(), "k", []byte("2"), kv.IfRevision(last)); !errors.Is(err, kv.ErrConflict) {
				t.Errorf("a write on a lost revision: %v, want ErrConflict", err)
			}
		}
		last = rev
		exec(t, db, "DROP TABLE kv_items")
		exec(t, db, "DROP TABLE kv_state")
	}
	if _, err := store.Get(t.Context(), "k"); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("a read without tables: %v, want ErrUnavailable", err)
	}
	if _, err := store.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("the next: %v, want ErrNotFound", err)
	}
}

func literal(e engine, key string) string {
	if e.name == "postgres" {
		return "convert_to('" + key + "', 'UTF8')"
	}
	if e.name == "sqlite" {
		return "CAST('" + key + "' AS BLOB)"
	}
	return "'" + key + "'"
}

// The user's own database serves, stays open, and shows keys and values as they
// are.
func TestOwnClientAndPlainSQL(t *testing.T) {
	for _, e := range engines(t) {
		t.Run(e.name, func(t *testing.T) {
			db := e.own(t)
			if e.name == "sqlite" {
				db.SetMaxOpenConns(1)
			}
			store := opener(sql.On(enginesql.FromDB(e.dialect, db)))(t, kv.WithNamespace("own"))
			other := opener(e.backend)(t, kv.WithNamespace("own"))
			defer other.Close()
			if _, err := store.Put(t.Context(), "é", []byte("value")); err != nil {
				t.Fatal(err)
			}
			if item, err := other.Get(t.Context(), "é"); err != nil || string(item.Value) != "value" {
				t.Errorf("another store reads %q, %v", item.Value, err)
			}
			var key, value string
			read := "SELECT k, v FROM kv_items WHERE until = 0"
			if e.name == "postgres" {
				read = "SELECT convert_from(k, 'UTF8'), convert_from(v, 'UTF8') FROM kv_items WHERE until = 0 AND k = convert_to('own/é', 'UTF8')"
			} else {
				read += " AND k = " + literal(e, "own/é")
			}
			if err := db.QueryRowContext(t.Context(), read).Scan(&key, &value); err != nil || key != "own/é" || value != "value" {
				t.Errorf("SQL reads %q %q, %v", key, value, err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			if err := db.PingContext(t.Context()); err != nil {
				t.Errorf("the user's database was closed: %v", err)
			}
		})
	}
}

// A change in one process reaches a watch in another, whatever the way, soon.
func TestWatchSeesOtherProcesses(t *testing.T) {
	for _, e := range append(engines(t),
		engine{name: "postgres, one connection", backend: sql.On(limited(t, servertest.SharedPostgres(t).DSN(), enginesql.WithMaxConns(1)))}) {
		t.Run(e.name, func(t *testing.T) {
			ns := kv.WithNamespace(servertest.Namespace(t))
			writer, reader := opener(e.backend)(t, ns), opener(e.backend)(t, ns)
			defer writer.Close()
			defer reader.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			n := 0
			for ev, err := range reader.Watch(ctx, "k") {
				if err != nil {
					t.Fatal(err)
				}
				switch ev.Kind {
				case kv.EventPut:
					if n++; string(ev.Item.Value) != fmt.Sprint(n) {
						t.Fatalf("change %d is %q", n, ev.Item.Value)
					}
					if n == 5 {
						if err := writer.Delete(t.Context(), "k"); err != nil {
							t.Fatal(err)
						}
						continue
					}
				case kv.EventDelete:
					if n != 5 {
						t.Fatalf("deleted after %d changes", n)
					}
					return
				case kv.EventSynced:
					if n > 0 {
						continue
					}
				}
				if _, err := writer.Put(t.Context(), "k", fmt.Append(nil, n+1)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Writers of many stores don't lose or double anything, and revisions are those
// of one sequence.
func TestManyWriters(t *testing.T) {
	for _, e := range engines(t) {
		t.Run(e.name, func(t *testing.T) {
			ns := kv.WithNamespace(servertest.Namespace(t))
			const stores, callers, each = 3, 8, 20
			var (
				wg   sync.WaitGroup
				mu   sync.Mutex
				seen = map[kv.Revision]bool{}
			)
			for range stores {
				store := opener(e.backend)(t, ns)
				defer store.Close()
				for range callers {
					wg.Go(func() {
						for i := range each {
							if _, err := store.Add(t.Context(), "sum", 1); err != nil {
								t.Error(err)
							}
							rev, err := store.Put(t.Context(), "k", fmt.Append(nil, i))
							if err != nil {
								t.Error(err)
							}
							mu.Lock()
							if seen[rev] {
								t.Errorf("revision %d twice", rev)
							}
							seen[rev] = true
							mu.Unlock()
						}
					})
				}
			}
			wg.Wait()
			store := opener(e.backend)(t, ns)
			defer store.Close()
			if sum, err := store.Add(t.Context(), "sum", 0); err != nil || sum != stores*callers*each {
				t.Errorf("sum %d, %v, want %d", sum, err, stores*callers*each)
			}
		})
	}
}

func TestValuesOfAllSizes(t *testing.T) {
	for _, e := range engines(t) {
		t.Run(e.name, func(t *testing.T) {
			store := opener(e.backend)(t, kv.WithNamespace(servertest.Namespace(t)))
			defer store.Close()
			for _, n := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
				value := bytes.Repeat([]byte{0, '\'', '\\', 0xff}, n/4+1)[:n]
				_, err := store.Put(t.Context(), "k", value)
				if n > 1<<20 {
					if !errors.Is(err, kv.ErrTooLarge) {
						t.Errorf("%d bytes: %v, want ErrTooLarge", n, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%d bytes: %v", n, err)
				}
				if item, err := store.Get(t.Context(), "k"); err != nil || !bytes.Equal(item.Value, value) {
					t.Errorf("%d bytes came back as %d, %v", n, len(item.Value), err)
				}
			}
		})
	}
}

// A caller that leaves while its write waits for a database that says nothing
// leaves nothing behind: others go on when it answers again.
func TestCallersLeave(t *testing.T) {
	pg := servertest.SharedPostgres(t)
	p := netfault.New(t, pg.Addr())
	store := opener(sql.Postgres("postgres://postgres@"+p.Addr()+"/postgres?sslmode=disable"))(t, kv.WithNamespace(servertest.Namespace(t)))
	defer store.Close()
	if _, err := store.Put(t.Context(), "k", []byte("1")); err != nil {
		t.Fatal(err)
	}
	for what, fault := range map[string]func(){"held": func() { p.Hold(netfault.Both) }, "lost": func() { p.Drop(netfault.Replies) }} {
		fault()
		leave(t, store)
		p.Heal()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for {
			_, err := store.Put(ctx, "k", []byte("3"))
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
}

// leave makes calls that end before they are answered.
func leave(t *testing.T, store kv.KV) {
	t.Helper()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := store.Put(ctx, "k", []byte("2"))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestBadInput(t *testing.T) {
	for what, o := range map[string]kv.Option{
		"no file":        sql.SQLite(""),
		"no address":     sql.Postgres(""),
		"no database":    sql.MySQL("mysql://h/"),
		"an odd address": sql.MySQL("h:1:2"),
		"no engine":      sql.On(nil),
		"no dialect":     sql.On(enginesql.FromDB(0, &dbsql.DB{})),
		"no handle":      sql.On(enginesql.FromDB(enginesql.SQLite, nil)),
	} {
		if _, err := kv.New(o, kv.WithLazy()); !errors.Is(err, kv.ErrInvalid) || !strings.Contains(err.Error(), "kv/") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := kv.New(sql.Postgres("postgres://u@127.0.0.1:1/d"), kv.WithDialTimeout(500*time.Millisecond)); !errors.Is(err, kv.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("no server: %v", err)
	}
}

// While nothing happens a watch costs a bounded number of requests.
func TestIdleWatch(t *testing.T) {
	for name, most := range map[string]int{"mysql": 6, "postgres": 2} {
		t.Run(name, func(t *testing.T) {
			var p *netfault.Proxy
			var backend kv.Option
			if name == "mysql" {
				p = netfault.New(t, servertest.SharedMariaDB(t).Addr())
				backend = sql.MySQL("mysql://root@" + p.Addr() + "/mysql")
			} else {
				p = netfault.New(t, servertest.SharedPostgres(t).Addr())
				backend = sql.Postgres("postgres://postgres@" + p.Addr() + "/postgres?sslmode=disable")
			}
			store := opener(backend)(t, kv.WithNamespace(servertest.Namespace(t)))
			defer store.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for e, err := range store.Watch(ctx, "") {
				if err != nil {
					break
				}
				if e.Kind == kv.EventSynced {
					<-time.After(time.Second) // until the questions are rare
					before := p.Counts()
					<-time.After(time.Second)
					if n := p.Counts().Requests - before.Requests; int(n) > most {
						t.Errorf("%d requests in an idle second", n)
					}
					cancel()
				}
			}
		})
	}
}

// Stores of many processes that begin at the same time make the tables once, and
// none of them sees them half made.
func TestStoresThatBeginTogether(t *testing.T) {
	for range 30 {
		file := filepath.Join(t.TempDir(), "kv.db")
		var wg sync.WaitGroup
		for range 8 {
			store := opener(sql.SQLite(file))(t, kv.WithLazy())
			wg.Go(func() {
				defer store.Close()
				if _, err := store.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
					t.Errorf("the first Get: %v, want ErrNotFound", err)
				}
				if _, err := store.Add(t.Context(), "n", 1); err != nil {
					t.Errorf("the first Add: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

// limited opens an engine for the test.
func limited(t *testing.T, addr string, opts ...enginesql.Option) *enginesql.Engine {
	t.Helper()
	e, err := enginesql.Open(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}
