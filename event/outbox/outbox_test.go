package outbox_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/outbox"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func each(t *testing.T, f func(t *testing.T, db *dbsql.DB, e *engine.Engine)) {
	for name, c := range map[string]struct {
		kind sql.Kind
		addr func(t *testing.T) string
	}{
		"sqlite":   {sql.SQLite, func(t *testing.T) string { return filepath.Join(t.TempDir(), "x.db") }},
		"mysql":    {sql.MySQL, func(t *testing.T) string { return servertest.MariaDB(t).DSN() + "mysql" }},
		"postgres": {sql.Postgres, func(t *testing.T) string { return servertest.Postgres(t).DSN() }},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			db, err := sql.Open(sql.Config{Kind: c.kind, Address: c.addr(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			f(t, db.DB, engine.FromDB(engine.Dialect(c.kind), db.DB))
		})
	}
}

func stream(t *testing.T, opts ...event.Option) event.Stream {
	s, err := event.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func open(t *testing.T, e *engine.Engine) *outbox.Outbox {
	t.Helper()
	b, err := outbox.New(t.Context(), e, outbox.WithInterval(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// relay runs a relay until the returned function is called.
func relay(t *testing.T, b *outbox.Outbox, s event.Stream) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.Relay(ctx, s); !errors.Is(err, context.Canceled) {
			t.Errorf("Relay = %v, want the context's error", err)
		}
	})
	once := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(once)
	return once
}

func subjects(t *testing.T, s event.Stream) []string {
	got := []string{}
	for r, err := range s.Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Subject)
	}
	return got
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestCommittedIsPublishedInOrderAndRolledBackIsNot(t *testing.T) {
	each(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine) {
		b, s := open(t, e), stream(t)
		want := []string{}
		for i := range 250 {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx := event.ContextWithCause(t.Context(), event.Cause{RootID: "root", ParentID: "parent"})
			if err := b.Publish(ctx, tx, &event.Record{Type: "t", Subject: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			if i%5 == 4 {
				tx.Rollback()
				continue
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprint(i))
		}
		if n, _, err := b.Pending(t.Context()); err != nil || n != 200 {
			t.Errorf("Pending = %d, %v, want 200", n, err)
		}
		relay(t, b, s)
		relay(t, open(t, e), s) // another process's; one works at a time
		b.Poke()
		eventually(t, "all published", func() bool { n, _, _ := b.Pending(t.Context()); return n == 0 && len(subjects(t, s)) >= 200 })
		if got := subjects(t, s); !slices.Equal(got, want) {
			t.Errorf("published %v\nwant %v", got, want)
		}
		for r := range s.Query(t.Context(), event.Limit(1)) {
			if r.RootID != "root" || r.ParentID != "parent" || r.ID == "" || time.Since(r.Time) > time.Minute {
				t.Errorf("published %+v", r)
			}
		}
	})
}

// flaky is a stream that is unavailable at first, and then loses replies.
type flaky struct {
	event.Stream
	mu    sync.Mutex
	calls int
}

func (f *flaky) Publish(ctx context.Context, rs ...*event.Record) error {
	f.mu.Lock()
	f.calls++
	n := f.calls
	f.mu.Unlock()
	switch n {
	case 1:
		return event.ErrUnavailable
	case 2:
		f.Stream.Publish(ctx, rs...)
		return event.ErrUnknownOutcome
	}
	return f.Stream.Publish(ctx, rs...)
}

func TestRelayGoesOnOverErrorsAtLeastOnce(t *testing.T) {
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	b, s := open(t, engine.FromDB(engine.SQLite, db.DB)), stream(t)
	if err := b.Publish(t.Context(), db, &event.Record{ID: "1", Type: "t", Subject: "0"}, &event.Record{ID: "2", Type: "t", Subject: "1"}); err != nil {
		t.Fatal(err)
	}
	stop := relay(t, b, &flaky{Stream: s})
	eventually(t, "published", func() bool { n, _, _ := b.Pending(t.Context()); return n == 0 })
	stop()
	if got := subjects(t, s); !slices.Equal(got, []string{"0", "1", "0", "1"}) {
		t.Errorf("published %v, want both twice in order: the first reply was lost", got)
	}
}

func TestRefusedRecordDoesNotHoldUpOthers(t *testing.T) {
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	b, s := open(t, engine.FromDB(engine.SQLite, db.DB)), stream(t, event.WithMaxBytes(10))
	err = b.Publish(t.Context(), db, &event.Record{Type: "t", Subject: "0"}, &event.Record{Type: "t", Subject: "large", Data: make([]byte, 11)}, &event.Record{Type: "t", Subject: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO event_outbox (record) VALUES ('nonsense')"); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), db, &event.Record{Type: "t", Subject: "2"}); err != nil {
		t.Fatal(err)
	}
	relay(t, b, s)
	eventually(t, "the others are published", func() bool { n, refused, _ := b.Pending(t.Context()); return n == 0 && refused == 2 })
	if got := subjects(t, s); !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("published %v", got)
	}
}

// picky is a stream that never says whether it took certain records.
type picky struct {
	event.Stream
	mu    sync.Mutex
	tries map[string]int
	err   error
	bad   func(r *event.Record) bool
}

func (p *picky) Publish(ctx context.Context, rs ...*event.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range rs {
		p.tries[r.Subject]++
		if p.bad(r) {
			if i > 0 {
				return &event.PublishError{Published: i, Err: p.err}
			}
			return p.err
		}
		if err := p.Stream.Publish(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (p *picky) set(bad func(r *event.Record) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = bad
}

func (p *picky) tried(subject string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tries[subject]
}

func onSQLite(t *testing.T, opts ...outbox.Option) (*outbox.Outbox, outbox.Execer) {
	t.Helper()
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b, err := outbox.New(t.Context(), engine.FromDB(engine.SQLite, db.DB), append([]outbox.Option{outbox.WithInterval(5 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return b, db
}

func put(t *testing.T, b *outbox.Outbox, tx outbox.Execer, subjects ...string) {
	t.Helper()
	for _, s := range subjects {
		if err := b.Publish(t.Context(), tx, &event.Record{Type: "t", Subject: s}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRowsThatKeepFailingAreSetAsideAndCanBeRetried(t *testing.T) {
	each(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine) {
		b, err := outbox.New(t.Context(), e, outbox.WithInterval(5*time.Millisecond), outbox.WithMaxFailures(3))
		if err != nil {
			t.Fatal(err)
		}
		p := &picky{Stream: stream(t), tries: map[string]int{}, err: event.ErrUnknownOutcome}
		p.set(func(r *event.Record) bool { return r.Subject == "poison" || r.Subject == "poison too" })
		put(t, b, db, "0", "poison", "poison too", "1", "2")
		relay(t, b, p)
		eventually(t, "the others are published and two rows set aside", func() bool {
			n, aside, _ := b.Pending(t.Context())
			return n == 0 && aside == 2
		})
		if got := subjects(t, p.Stream); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("published %v, want each of the good ones once, in order", got)
		}
		if n := p.tried("poison"); n < 3 {
			t.Errorf("set aside after %d failures, want 3", n)
		}
		p.set(func(*event.Record) bool { return false })
		if n, err := b.Retry(t.Context()); n != 2 || err != nil {
			t.Fatalf("Retry = %d, %v, want 2", n, err)
		}
		eventually(t, "those are published", func() bool { n, aside, _ := b.Pending(t.Context()); return n+aside == 0 })
		if got := subjects(t, p.Stream); !slices.Equal(got, []string{"0", "1", "2", "poison", "poison too"}) {
			t.Errorf("published %v after Retry", got)
		}
	})
}

func TestRowsWaitWhileItIsTheStreamThatFails(t *testing.T) {
	for name, err := range map[string]error{"unavailable": event.ErrUnavailable, "no answers": event.ErrUnknownOutcome} {
		t.Run(name, func(t *testing.T) {
			b, db := onSQLite(t, outbox.WithMaxFailures(1))
			p := &picky{Stream: stream(t), tries: map[string]int{}, err: err}
			p.set(func(*event.Record) bool { return true })
			put(t, b, db, "0", "1")
			relay(t, b, p)
			eventually(t, "the head fails three times", func() bool { return p.tried("0") >= 3 })
			if n, aside, err := b.Pending(t.Context()); n != 2 || aside != 0 {
				t.Errorf("%d rows wait and %d are set aside, %v; want 2 and 0", n, aside, err)
			}
			p.set(func(*event.Record) bool { return false })
			eventually(t, "both are published", func() bool { n, _, _ := b.Pending(t.Context()); return n == 0 })
			if got := subjects(t, p.Stream); !slices.Equal(got, []string{"0", "1"}) {
				t.Errorf("published %v, want 0 and 1", got)
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	if _, err := outbox.New(t.Context(), nil); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("nil database: %v", err)
	}
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, opt := range map[string]outbox.Option{"nil": nil, "logger": outbox.WithLogger(nil), "interval": outbox.WithInterval(0), "failures": outbox.WithMaxFailures(0)} {
		if _, err := outbox.New(t.Context(), engine.FromDB(engine.SQLite, db.DB), opt); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := open(t, engine.FromDB(engine.SQLite, db.DB))
	for name, none := range map[string]outbox.Execer{"nil": nil, "nil *sql.Tx": (*dbsql.Tx)(nil)} {
		if err := b.Publish(t.Context(), none, &event.Record{Type: "t"}); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("transaction %s: %v", name, err)
		}
	}
	for name, r := range map[string]*event.Record{"nil": nil, "type": {}} {
		if err := b.Publish(t.Context(), db, r); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever may not make tables can use those that are there.
func TestTablesThatAreThereAreNotMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	owner, err := engine.Open("sqlite:" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	open(t, owner)
	reader, err := dbsql.Open("sqlite", "file:"+file+"?_pragma=query_only(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	_, err = outbox.New(t.Context(), engine.FromDB(engine.SQLite, reader))
	if err != nil {
		t.Errorf("New: %v", err)
	}
}
