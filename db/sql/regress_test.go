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

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// backends are the databases that a regression is shown on.
func backends(t *testing.T) map[string]func(t testing.TB) db.Option {
	return map[string]func(t testing.TB) db.Option{
		"sqlite":   func(t testing.TB) db.Option { return sql.SQLite(filepath.Join(t.TempDir(), "x.db")) },
		"mysql":    func(t testing.TB) db.Option { return sql.MySQL(records(t, servertest.SharedMariaDB(t))) },
		"postgres": func(t testing.TB) db.Option { return sql.Postgres(servertest.SharedPostgres(t).DSN()) },
	}
}

func each(t *testing.T, run func(t *testing.T, d db.DB, tb db.Table)) {
	for name, backend := range backends(t) {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			d, err := db.New(patient(backend(t), db.WithNamespace("r"+strings.ReplaceAll(db.NewID(), "-", "")[22:]))...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			tb, err := d.Table(t.Context(), "things", db.Index("a"))
			if err != nil {
				t.Fatal(err)
			}
			run(t, d, tb)
		})
	}
}

func TestMissingRecordsAreErrors(t *testing.T) {
	each(t, func(t *testing.T, _ db.DB, tb db.Table) {
		if err := tb.Update(t.Context(), &db.Record{ID: "none", Version: 1}); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("Update of a missing id: %v, want ErrNotFound", err)
		}
		if err := tb.Delete(t.Context(), "none"); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("Delete of a missing id: %v, want ErrNotFound", err)
		}
	})
}

func TestNamesAndValuesInjectNothing(t *testing.T) {
	attacks := []string{`x'; DROP TABLE things; --`, `x"; DROP TABLE things; --`, "x`; DROP TABLE things; --", `\'; DROP TABLE things; --`, "' OR '1'='1", "%", "_", "%_\\", "\x00'", "日本'\""}
	each(t, func(t *testing.T, d db.DB, tb db.Table) {
		for _, a := range attacks {
			if _, err := d.Table(t.Context(), a); !errors.Is(err, db.ErrInvalid) {
				t.Errorf("Table %q: %v, want ErrInvalid", a, err)
			}
			r := &db.Record{Metadata: map[string]any{a: a, "a": a, "l": []string{a}}, Data: []byte(a)}
			if !strings.Contains(a, "\x00") {
				r.ID = a
			}
			if err := tb.Create(t.Context(), r); err != nil {
				t.Fatalf("Create %q: %v", a, err)
			}
			got, err := tb.Read(t.Context(), r.ID)
			if err != nil || got.Metadata[a] != a || string(got.Data) != a {
				t.Errorf("Read %q: %+v, %v", a, got, err)
			}
		}
		for _, a := range attacks {
			for _, f := range []db.Filter{db.Equal("a", a), db.Equal(a, a), db.In("a", a), db.And(db.Prefix("a", a), db.Equal(a, a))} {
				if p, err := tb.Search(t.Context(), db.Where(f), db.AllowScan()); err != nil || len(p.Records) != 1 {
					t.Errorf("%+v finds %d, %v, want 1", f, len(p.Records), err)
				}
			}
			if _, err := tb.Search(t.Context(), db.OrderBy(a), db.Where(db.Contains(db.FieldID, a)), db.AllowScan()); err != nil {
				t.Errorf("order by %q: %v", a, err)
			}
		}
		if n, err := tb.Count(t.Context()); err != nil || n != int64(len(attacks)) {
			t.Errorf("%d records, %v, want %d", n, err, len(attacks))
		}
	})
}

func TestBytesAndTypesComeBack(t *testing.T) {
	each(t, func(t *testing.T, _ db.DB, tb db.Table) {
		raw := make([]byte, 256)
		for i := range raw {
			raw[i] = byte(i)
		}
		r := &db.Record{Metadata: map[string]any{"i": int64(1 << 60), "f": 1.0, "b": true, "t": time.Unix(1, 5000).UTC(), "s": "1"}, Data: raw}
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		got, err := tb.Read(t.Context(), r.ID)
		if err != nil || !bytes.Equal(got.Data, raw) || got.Metadata["i"] != int64(1<<60) || got.Metadata["f"] != 1.0 || got.Metadata["b"] != true || got.Metadata["s"] != "1" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestPoolBoundsConnections(t *testing.T) {
	const most, calls = 4, 1_600
	server := servertest.SharedPostgres(t)
	d, err := db.New(patient(sql.On(limited(t, server.DSN()+"&application_name=bounded", enginesql.WithMaxConns(most))), db.WithNamespace("pool"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Update(t.Context(), &db.Record{ID: "x"}, db.Upsert()); err != nil {
		t.Fatal(err)
	}
	other, err := dbsql.Open("pgx", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	highest, done := 0, make(chan struct{})
	var watch, work sync.WaitGroup
	watch.Go(func() {
		for {
			var n int
			if err := other.QueryRow("SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'bounded'").Scan(&n); err != nil {
				t.Error(err)
				return
			}
			highest = max(highest, n)
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
	if highest == 0 || highest > most {
		t.Errorf("up to %d connections, want 1 to %d", highest, most)
	}
}

func TestTransactionsDoNotOverwriteWhatTheyHaveNotSeen(t *testing.T) {
	for name, backend := range backends(t) {
		if name == "sqlite" { // where transactions take turns
			continue
		}
		t.Run(name, func(t *testing.T) {
			d, err := db.New(patient(backend(t), db.WithNamespace("seen"))...)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			tb, err := d.Table(t.Context(), "things")
			if err != nil {
				t.Fatal(err)
			}
			for what, write := range map[string]func(ctx context.Context, x db.Table, id string) error{
				"update": func(ctx context.Context, x db.Table, id string) error {
					return x.Update(ctx, &db.Record{ID: id}, db.Force())
				},
				"upsert": func(ctx context.Context, x db.Table, id string) error {
					return x.Update(ctx, &db.Record{ID: id}, db.Upsert())
				},
				"delete": func(ctx context.Context, x db.Table, id string) error { return x.Delete(ctx, id) },
			} {
				for between, change := range map[string]func(id string) error{
					"update": func(id string) error { return tb.Update(context.Background(), &db.Record{ID: id}, db.Force()) },
					"delete": func(id string) error { return tb.Delete(context.Background(), id) },
				} {
					id := what + db.NewID()
					if err := tb.Create(t.Context(), &db.Record{ID: id}); err != nil {
						t.Fatal(err)
					}
					runs := 0
					err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
						runs++
						x, err := tx.Table(ctx, "things")
						if err != nil {
							return err
						}
						if _, err := x.Read(ctx, id); err != nil {
							return err
						}
						if runs == 1 { // another comes between
							if err := change(id); err != nil {
								return err
							}
						}
						return write(ctx, x, id)
					}, db.Isolation(db.LevelSnapshot)) // MySQL's serializable ones lock what they read
					if want := map[string]error{"delete": db.ErrNotFound}[between]; !errors.Is(err, want) || runs != 2 {
						t.Errorf("%s after another's %s: ran %d times, %v, want 2, %v", what, between, runs, err, want)
					}
				}
			}
		})
	}
}

func TestRefusedCreateLeavesTheTransactionUsable(t *testing.T) {
	each(t, func(t *testing.T, d db.DB, tb db.Table) {
		if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
			t.Fatal(err)
		}
		err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
			x, err := tx.Table(ctx, "things")
			if err != nil {
				return err
			}
			if err := x.Create(ctx, &db.Record{ID: "x"}); !errors.Is(err, db.ErrExists) {
				return fmt.Errorf("created twice: %w", err)
			}
			return x.Create(ctx, &db.Record{ID: "y"})
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tb.Read(t.Context(), "y"); err != nil {
			t.Error(err)
		}
	})
}

func TestLongNamesStayApart(t *testing.T) {
	each(t, func(t *testing.T, d db.DB, _ db.Table) {
		var tables []db.Table
		for _, last := range []string{"a", "b"} {
			tb, err := d.Table(t.Context(), strings.Repeat("x", 47)+last)
			if err != nil {
				t.Fatal(err)
			}
			tables = append(tables, tb)
		}
		if err := tables[0].Create(t.Context(), &db.Record{ID: "x"}); err != nil {
			t.Fatal(err)
		}
		if _, err := tables[1].Read(t.Context(), "x"); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("two long names are one table: %v", err)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]db.Option{
		"empty": sql.SQLite(""), "nil engine": sql.On(nil),
		"address": sql.Postgres("postgres://u:s3cret@h:x/d"), "dialect": sql.On(enginesql.FromDB(9, new(dbsql.DB))), "no handle": sql.On(enginesql.FromDB(enginesql.SQLite, nil)),
	} {
		if _, err := db.New(o); !errors.Is(err, db.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := db.New(sql.Postgres("postgres://u:s3cret@127.0.0.1:1/d"), db.WithDialTimeout(time.Second)); !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("nobody there: %v, want ErrUnavailable with the address", err)
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
