package changes_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/changes"
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/outbox"
	conn "github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// handle opens a database that has both the tables and the outbox.
func handle(t *testing.T, kind conn.Kind, addr string) *dbsql.DB {
	t.Helper()
	h, err := conn.Open(conn.Config{Kind: kind, Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h.DB
}

// Writers collide, transactions are given up, a relay runs: the events, applied
// in their order, make what the database has, with every version of every record.
func TestEventsMakeWhatTheDatabaseHas(t *testing.T) {
	for name, c := range map[string]struct {
		kind conn.Kind
		addr func(t *testing.T) string
	}{
		"sqlite":   {conn.SQLite, func(t *testing.T) string { return filepath.Join(t.TempDir(), "x.db") }},
		"mysql":    {conn.MySQL, func(t *testing.T) string { return servertest.SharedMariaDB(t).DSN() + "mysql" }},
		"postgres": {conn.Postgres, func(t *testing.T) string { return servertest.SharedPostgres(t).DSN() }},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			h := handle(t, c.kind, c.addr(t))
			e := enginesql.FromDB(enginesql.Dialect(c.kind), h)
			box, err := outbox.New(t.Context(), e, outbox.WithInterval(10*time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			d, err := db.New(sql.On(e), db.WithTimeout(time.Minute), db.WithNamespace("t"+strings.ReplaceAll(db.NewID(), "-", "")[18:]), changes.ToOutbox(box))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			stream, _ := event.New()
			defer stream.Close(context.Background())
			ctx, stop := context.WithCancel(context.Background())
			var relay sync.WaitGroup
			relay.Go(func() { box.Relay(ctx, stream) })
			defer relay.Wait()
			defer stop()

			tb, err := d.Table(t.Context(), "things")
			if err != nil {
				t.Fatal(err)
			}
			write(t, d, tb)
			for deadline := time.Now().Add(time.Minute); ; {
				waiting, refused, err := box.Pending(t.Context())
				if err == nil && waiting == 0 && refused == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d waiting and %d refused after a minute: %v", waiting, refused, err)
				}
				<-time.After(10 * time.Millisecond)
			}
			compare(t, tb, stream)
		})
	}
}

func write(t *testing.T, d db.DB, tb db.Table) {
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 25 {
				id := fmt.Sprint("r", i%5)
				r := &db.Record{ID: id, Metadata: map[string]any{"writer": w, "tags": []string{"a"}}, Data: fmt.Appendf(nil, "%d/%d", w, i)}
				var err error
				switch (w + i) % 5 {
				case 0:
					err = tb.Delete(t.Context(), id)
				case 1:
					err = tb.Create(t.Context(), r)
				case 2: // nothing of it happens
					d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
						x, err := tx.Table(ctx, "things")
						if err == nil {
							err = x.Update(ctx, r, db.Upsert())
						}
						return errors.Join(err, errors.New("given up"))
					})
				default:
					err = tb.Update(t.Context(), r, db.Upsert())
				}
				if err != nil && !errors.Is(err, db.ErrNotFound) && !errors.Is(err, db.ErrExists) && !errors.Is(err, db.ErrConflict) {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
}

// compare applies the events, and compares with the table.
func compare(t *testing.T, tb db.Table, stream event.Stream) {
	got := map[string]*db.Record{}
	seen, highest := map[string]bool{}, map[string]uint64{}
	n := 0
	for r, err := range stream.Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.ID] { // a relay may repeat itself
			continue
		}
		seen[r.ID] = true
		n++
		c, err := changes.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		old := got[c.ID]
		switch {
		case c.Kind == db.Created && (old != nil || c.Version <= highest[c.ID]),
			c.Kind == db.Updated && (old == nil || c.Version != old.Version+1),
			c.Kind == db.Deleted && (old == nil || c.Version != old.Version):
			t.Fatalf("event %d: %s %s version %d, after %+v", n, c.ID, c.Kind, c.Version, old)
		}
		highest[c.ID] = c.Version
		got[c.ID] = c.Record
		if c.Kind == db.Deleted {
			delete(got, c.ID)
		}
	}
	want := map[string]*db.Record{}
	for r, err := range tb.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want[r.ID] = r
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the events make %v, the table has %v", got, want)
	}
	if n < 50 {
		t.Errorf("%d events, want more", n)
	}
}

// refusing is an outbox that takes nothing.
type refusing struct{ err error }

func (r refusing) Publish(context.Context, db.Execer, ...*event.Record) error { return r.err }

func TestRefusedChangeUndoesTheWrite(t *testing.T) {
	no := errors.New("no")
	d, err := db.New(sql.SQLite(filepath.Join(t.TempDir(), "x.db")), changes.ToOutbox(refusing{no}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "1"}); !errors.Is(err, no) {
		t.Errorf("Create = %v, want the outbox's error", err)
	}
	if _, err := tb.Read(t.Context(), "1"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("Read = %v, want ErrNotFound", err)
	}
}

func TestEachBackendHasItsWay(t *testing.T) {
	stream, _ := event.New()
	defer stream.Close(context.Background())
	for name, opts := range map[string][]db.Option{
		"an outbox in memory": {changes.ToOutbox(refusing{})},
		"a stream with SQL":   {sql.SQLite(filepath.Join(t.TempDir(), "x.db")), changes.ToStream(stream)},
	} {
		d, err := db.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		tb, err := d.Table(t.Context(), "things")
		if err == nil {
			err = tb.Create(t.Context(), &db.Record{})
		}
		if !errors.Is(err, db.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
		d.Close()
	}
	for name, opt := range map[string]db.Option{
		"nil outbox": changes.ToOutbox(nil), "nil stream": changes.ToStream(nil), "option 1 is nil": changes.ToStream(stream, nil), "nil function": db.WithChanges(nil),
	} {
		if _, err := db.New(opt); !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want ErrInvalid: %s", err, name)
		}
	}
}

func TestOnlyChangesParse(t *testing.T) {
	const whole = `{"table":"orders","id":"1","version":1}`
	for _, c := range []struct {
		typ, data, why string // why is "" for a change
	}{
		{"db.orders.created", whole, ""},
		{"db.orders.updated", whole, ""},
		{"db.orders.deleted", whole, ""},
		{"order.created", whole, "another type"},
		{"db.orders.read", whole, "another type"},
		{"db.orders.", whole, "another type"},
		{"db.orders", whole, "another type"},
		{"db.orders.created.now", whole, "another type"},
		{"event.orders.created", whole, "another type"},
		{"db.orders.created", "", "unexpected end"},
		{"db.orders.created", "{", "unexpected end"},
		{"db.orders.created", `{"table":"other","id":"1","version":1}`, "no table, id or version"},
		{"db.orders.created", `{"table":"orders","id":"","version":1}`, "no table, id or version"},
		{"db.orders.created", `{"table":"orders","id":"1","version":0}`, "no table, id or version"},
		{"db.orders.created", `{"table":"orders","id":"1","version":1,"record":{"metadata":{}}}`, ""},
		{"db.orders.created", `{"table":"orders","id":"1","version":1,"record":{"metadata":7}}`, "metadata"},
	} {
		got, err := changes.Parse(&event.Record{Type: c.typ, Data: []byte(c.data)})
		if c.why == "" {
			if err != nil || got.Table != "orders" || got.ID != "1" || got.Version != 1 || "db.orders."+got.Kind.String() != c.typ {
				t.Errorf("%s %s: got %+v and %v, want the change", c.typ, c.data, got, err)
			}
			continue
		}
		if !errors.Is(err, event.ErrInvalid) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s %s: got %+v and %v, want ErrInvalid: %s", c.typ, c.data, got, err, c.why)
		}
	}
}
