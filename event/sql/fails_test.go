package sql

import (
	"context"
	dbsql "database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

var errBroken = errors.New("broken")

// broken is a database one of whose calls fails, before or after it was done. It is not
// used concurrently.
type broken struct {
	of    sqldriver.Driver
	calls []string // until now
	at    int      // the one that fails; 0: none
	after bool
	what  string // it is
}

func (b *broken) Connect(context.Context) (sqldriver.Conn, error) {
	c, err := b.of.Open(":memory:")
	return brokenConn{c, b}, err
}

func (b *broken) Driver() sqldriver.Driver { return b.of }

// call does something, or fails.
func call[T any](b *broken, what string, do func() (T, error)) (T, error) {
	b.calls = append(b.calls, what)
	if len(b.calls) != b.at {
		return do()
	}
	b.what = what
	if b.after {
		if _, err := do(); err != nil {
			return *new(T), err
		}
	}
	return *new(T), errBroken
}

type brokenConn struct {
	sqldriver.Conn
	b *broken
}

func (c brokenConn) ExecContext(ctx context.Context, q string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	return call(c.b, "exec", func() (sqldriver.Result, error) { return c.Conn.(sqldriver.ExecerContext).ExecContext(ctx, q, args) })
}

func (c brokenConn) QueryContext(ctx context.Context, q string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	rows, err := call(c.b, "query", func() (sqldriver.Rows, error) { return c.Conn.(sqldriver.QueryerContext).QueryContext(ctx, q, args) })
	if err != nil {
		return nil, err
	}
	return brokenRows{rows, c.b}, nil
}

type brokenRows struct {
	sqldriver.Rows
	b *broken
}

// Next fails in place of the end.
func (r brokenRows) Next(row []sqldriver.Value) error {
	err := r.Rows.Next(row)
	if err != io.EOF {
		return err
	}
	_, err = call(r.b, "end of rows", func() (any, error) { return nil, io.EOF })
	return err
}

func (c brokenConn) PrepareContext(ctx context.Context, q string) (sqldriver.Stmt, error) {
	return call(c.b, "prepare", func() (sqldriver.Stmt, error) {
		s, err := c.Conn.(sqldriver.ConnPrepareContext).PrepareContext(ctx, q)
		return brokenStmt{s, c.b}, err
	})
}

func (c brokenConn) BeginTx(ctx context.Context, o sqldriver.TxOptions) (sqldriver.Tx, error) {
	return call(c.b, "begin", func() (sqldriver.Tx, error) {
		t, err := c.Conn.(sqldriver.ConnBeginTx).BeginTx(ctx, o)
		return brokenTx{t, c.b}, err
	})
}

type brokenStmt struct {
	sqldriver.Stmt
	b *broken
}

func (s brokenStmt) ExecContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	return call(s.b, "insert", func() (sqldriver.Result, error) { return s.Stmt.(sqldriver.StmtExecContext).ExecContext(ctx, args) })
}

type brokenTx struct {
	sqldriver.Tx
	b *broken
}

// Commit ends the transaction, also if it fails.
func (t brokenTx) Commit() error {
	_, err := call(t.b, "commit", func() (any, error) { return nil, t.Tx.Commit() })
	if err != nil && !t.b.after {
		t.Tx.Rollback()
	}
	return err
}

// Whatever call of the database fails, before or after it was done: the call of the
// driver says so, it succeeds when it is made again, and in the end all is as without it.
func TestEveryCallOfTheDatabaseMayFail(t *testing.T) {
	lite, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	lite.Close()
	calls, want := tryAll(t, &broken{of: lite.Driver()}, "")
	if end := "record 3 \nrecord 4 \nrecord 5 \ngroup g \nscheduled b 3601000\nbooks 1 1"; want != end {
		t.Errorf("in the end there is\n%s, want\n%s", want, end)
	}
	for i, what := range calls {
		tryAll(t, &broken{of: lite.Driver(), at: i + 1}, want)
		if what == "insert" || what == "commit" { // others are rolled back, or change nothing
			tryAll(t, &broken{of: lite.Driver(), at: i + 1, after: true}, want)
		}
	}
	if len(calls) < 80 {
		t.Errorf("%d calls of the database, want more", len(calls))
	}
}

func tryAll(t *testing.T, b *broken, want string) (calls []string, state string) {
	t.Helper()
	pool := dbsql.OpenDB(b)
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, DB: pool})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{db: db, kind: sql.SQLite, table: `"events"`, writer: make(chan struct{}, 1)}
	d.tail.d = d
	ctx := t.Context()
	record := func(id string) *event.Record {
		return &event.Record{ID: id, Type: "t", Time: time.Unix(1, 0), Metadata: map[string]string{"k": "v"}, Data: []byte(id)}
	}
	var plain, turn event.Member
	var held, taken []event.Delivered
	join := func(m *event.Member, g event.GroupConfig) func() error {
		return func() (err error) { *m, err = d.Join(ctx, g); return err }
	}
	fetch := func(m *event.Member, into *[]event.Delivered) func() error {
		return func() error {
			*into = nil
			for ids := map[string]bool{}; len(ids) < 3; { // what an answer was lost of is due soon
				ds, err := (*m).Fetch(ctx, 10)
				if err != nil {
					return err
				}
				for _, d := range ds {
					ids[d.Record.ID] = true
				}
				*into = append(*into, ds...)
			}
			return nil
		}
	}
	soon := time.UnixMilli(1000).UTC()
	for _, step := range []struct {
		name  string
		again error // when what was done is done again
		do    func() error
	}{
		{"ping", nil, func() error { return d.tables(ctx) }},
		{"append one", nil, func() error { _, err := d.Append(ctx, []*event.Record{record("1")}); return err }},
		{"append several", nil, func() error { _, err := d.Append(ctx, []*event.Record{record("2"), record("3")}); return err }},
		{"read", nil, func() error {
			page, err := d.Read(ctx, event.ReadRequest{From: event.Beginning(), Max: 10})
			if err == nil && len(page.Records) < 3 {
				err = fmt.Errorf("%d records", len(page.Records))
			}
			return err
		}},
		{"read backwards", nil, func() error {
			_, err := d.Read(ctx, event.ReadRequest{Reverse: true, Max: 2, Filter: event.Filter{ID: "1"}})
			return err
		}},
		{"read since", nil, func() error {
			_, err := d.Read(ctx, event.ReadRequest{From: event.At(time.Unix(5, 0)), Max: 2})
			return err
		}},
		{"behind", nil, func() error { _, err := d.Behind(ctx, "1"); return err }},
		{"join", nil, join(&plain, event.GroupConfig{Name: "g", Consumer: "c", Start: event.Beginning(), AckWait: 20 * time.Millisecond})},
		{"join again", nil, join(&plain, event.GroupConfig{Name: "g", Consumer: "c", Start: event.Beginning(), AckWait: 20 * time.Millisecond})},
		{"fetch", nil, fetch(&plain, &held)},
		{"extend", nil, func() error { return plain.Extend(ctx, held) }},
		{"release", nil, func() error { return plain.Release(ctx, held) }},
		{"fetch again", nil, fetch(&plain, &held)},
		{"ack", nil, func() error { return plain.Ack(ctx, held) }},
		{"leave", nil, func() error { return plain.Close(ctx) }},
		{"join alone", nil, join(&turn, event.GroupConfig{Name: "x", Consumer: "c", Start: event.Beginning(), AckWait: time.Hour, Exclusive: true})},
		{"fetch alone", nil, fetch(&turn, &taken)},
		{"extend the turn", nil, func() error { return turn.Extend(ctx, taken) }},
		{"ack alone", nil, func() error { return turn.Ack(ctx, taken) }},
		{"lag", nil, func() error { _, err := turn.Lag(ctx); return err }},
		{"leave alone", nil, func() error { return turn.Close(ctx) }},
		{"groups", nil, func() error { _, err := d.Groups(ctx); return err }},
		{"delete", fault.NotFound, func() error { return d.DeleteGroup(ctx, "x") }},
		{"attend", nil, func() error { _, err := d.Attend(ctx, "g", "c", time.Hour); return err }},
		{"attend no more", nil, func() error { _, err := d.Attend(ctx, "g", "c", 0); return err }},
		{"schedule", nil, func() error {
			return d.Schedule(ctx, []event.Scheduled{{ID: "a", Due: soon, Record: record("4")}, {ID: "b", Due: soon, Recurrence: "hourly", Record: record("5")}, {ID: "c", Due: soon, Record: record("6")}})
		}},
		{"unschedule", fault.NotFound, func() error { return d.Unschedule(ctx, "c") }},
		{"scheduled", nil, func() error { _, _, err := d.Scheduled(ctx, "", 10); return err }},
		{"fire", nil, func() error {
			due, err := d.Due(ctx, 10)
			if err != nil {
				return err
			}
			var all []eventdriver.Firing
			for _, e := range due.Entries {
				if e.Due.Equal(soon) { // not those of a recurrence that went through
					f := eventdriver.Firing{ID: e.ID, Due: e.Due, Version: e.Version, Record: e.Record}
					if e.Recurrence != "" {
						f.Next = soon.Add(time.Hour)
					}
					all = append(all, f)
				}
			}
			if len(all) == 0 {
				return nil
			}
			_, err = d.Fire(ctx, all)
			return err
		}},
		{"trim", nil, func() error { _, err := d.Trim(ctx, event.Retention{Count: 100}); return err }},
		{"trim some", nil, func() error { _, err := d.Trim(ctx, event.Retention{Count: 3}); return err }},
	} {
		err := step.do()
		if b.what == "" && err == nil {
			continue
		}
		place := fmt.Sprintf("%s: call %d, a %s, fails, done %v", step.name, b.at, b.what, b.after)
		if b.what != "" {
			kind := fault.KindOf(err)
			switch {
			case err == nil:
				t.Errorf("%s: success", place)
			case !errors.Is(err, errBroken), kind != fault.Unavailable && kind != fault.UnknownOutcome:
				t.Errorf("%s: %v", place, err)
			case b.after && b.what == "commit" && kind != fault.UnknownOutcome:
				t.Errorf("%s: %v, want an unknown outcome", place, err)
			}
			b.what = ""
			err = step.do()
		}
		if err != nil && (step.again == nil || !b.after || !errors.Is(err, step.again)) {
			t.Fatalf("%s: then %v", place, err)
		}
		if b.at > 0 && !b.after { // nothing was done, and it goes on as without it
			break
		}
	}
	calls = b.calls
	if b.at == 0 || b.after {
		state = stored(t, d)
	}
	if want != "" && b.after && state != want {
		t.Errorf("call %d fails, done %v: in the end there is\n%s, want\n%s", b.at, b.after, state, want)
	}
	d.Close(context.Background())
	return calls, state
}

// stored is what is in the tables, whatever its numbers and times.
func stored(t *testing.T, d *driver) string {
	t.Helper()
	var all []string
	for _, q := range []string{
		"SELECT DISTINCT 'record', id, '' FROM events WHERE seq > (SELECT MAX(seq) FROM events) - 3 ORDER BY id",
		"SELECT 'group', name, holder FROM event_groups", "SELECT 'pending', name, consumer FROM event_pending",
		"SELECT 'member', name, consumer FROM event_members", "SELECT 'scheduled', CAST(name AS TEXT), due FROM event_scheduled ORDER BY name",
		"SELECT 'books', bytes = (SELECT SUM(size) FROM events), trimmed + 3 = last FROM event_streams",
	} {
		rs, err := d.db.QueryContext(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for rs.Next() {
			var a, b, c string
			if err := rs.Scan(&a, &b, &c); err != nil {
				t.Fatal(err)
			}
			all = append(all, a+" "+b+" "+c)
		}
		rs.Close()
	}
	return strings.Join(all, "\n")
}
