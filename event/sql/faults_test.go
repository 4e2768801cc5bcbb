package sql_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/event/internal/scheduletest"
	"github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func TestBadConfigurationIsAnErrorOfNew(t *testing.T) {
	for name, opt := range map[string]event.Option{
		"empty": sql.SQLite(""), "mysql": sql.MySQL("http://u:s3cret@h/d"), "postgres": sql.Postgres("postgres://u:s3cret@h:x/d"), "nil database": sql.On(enginesql.FromDB(enginesql.SQLite, nil)),
		"dialect": sql.On(enginesql.FromDB(0, &dbsql.DB{})), "nil engine": sql.On(nil),
	} {
		_, err := event.New(opt)
		if !errors.Is(err, event.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want ErrInvalid without the password", name, err)
		}
	}
	for _, opt := range []event.Option{sql.MySQL("mysql://u:s3cret@127.0.0.1:1/d"), sql.Postgres("postgres://u:s3cret@127.0.0.1:1/d")} {
		_, err := event.New(opt, event.WithDialTimeout(time.Second))
		if !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("no server: got %v, want ErrUnavailable that names the address", err)
		}
	}
}

func ExampleSQLite() {
	ctx := context.Background()
	s, err := event.New(sql.SQLite(":memory:"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(ctx)
	s.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42"})
	for r, err := range s.Query(ctx, event.Types("order.*")) {
		fmt.Println(r.Position, r.Type, r.Subject, err)
	}
	// Output: 1 order.created order/42 <nil>
}

// An entry of the schedule that is no record, as of a newer version, holds up no
// others, and is listed and cancelled as they are.
func TestScheduledThatIsNoRecordHoldsUpNoOthers(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "events.db")
	s, err := event.New(sql.SQLite(file))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	if err := s.PublishAt(t.Context(), time.Now().Add(time.Hour), &event.Record{ID: "odd", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	other, err := dbsql.Open("sqlite", file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	res, err := other.Exec("UPDATE event_scheduled SET record = 'nonsense', due = 1")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := res.RowsAffected(); n != 1 {
		t.Fatalf("%d entries are there, want 1", n)
	}
	scheduletest.Odd(t, s)
}

// A member that crashed is in the roster until its time is over; its row is removed
// then by one that lives.
func TestRosterForgetsMembersThatCrashed(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "events.db")
	s, err := event.New(sql.SQLite(file))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	other, err := dbsql.Open("sqlite", file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	rows := func(where string) (n int) {
		if err := other.QueryRow("SELECT COUNT(*) FROM event_members WHERE " + where).Scan(&n); err != nil && !strings.Contains(err.Error(), "no such table") {
			t.Fatal(err)
		}
		return n
	}
	sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil },
		event.Group("g"), event.Consumer("lives"), event.Ordered(event.BySubject), event.Partitions(2), event.AckWait(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it is in the roster", func() bool { return rows("consumer = 'lives'") == 1 })
	for _, q := range []string{
		"INSERT INTO event_members (stream, name, consumer, until) SELECT stream, name, 'crashed', 1 FROM event_members WHERE consumer = 'lives'",
		"INSERT INTO event_members (stream, name, consumer, until) SELECT stream, 'of old', 'crashed', 1 FROM event_members WHERE consumer = 'lives'",
		"INSERT INTO event_members (stream, name, consumer, until) SELECT stream, name, 'lives too', 9000000000000 FROM event_members WHERE consumer = 'lives'",
		"INSERT INTO event_members (stream, name, consumer, until) SELECT 'another stream', 'g', 'not ours', 1 FROM event_members WHERE consumer = 'lives'",
	} {
		if _, err := other.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "those that crashed are forgotten", func() bool { return rows("consumer = 'crashed'") == 0 })
	if rows("consumer = 'lives'") != 1 || rows("consumer = 'lives too'") != 1 || rows("consumer = 'not ours'") != 1 {
		t.Error("others were removed too")
	}
	if err := sub.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who joins a group that is there writes nothing, and so does not wait for those who
// do: SQLite's lock is not fair.
func TestJoiningAGroupThatIsThereDoesNotWaitForWriters(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "events.db")
	s, err := event.New(sql.SQLite(file))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	h := func(context.Context, *event.Record) error { return nil }
	join := func(ctx context.Context, name string) error {
		sub, err := s.Subscribe(ctx, h, event.Group(name))
		if err == nil {
			go sub.Close(context.Background())
		}
		return err
	}
	if err := join(t.Context(), "there"); err != nil {
		t.Fatal(err)
	}
	other, err := dbsql.Open("sqlite", file+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Begin() // and writes for a long time
	if err != nil {
		t.Fatal(err)
	}
	if err := join(t.Context(), "there"); err != nil {
		t.Errorf("joining while another writes: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := join(short, "new"); err == nil {
		t.Error("a new group was made while another writes: nothing was kept out")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func overLinks(t *testing.T, f func(t *testing.T, p *netfault.Proxy, s event.Stream)) {
	for name, c := range map[string]struct {
		server  func(testing.TB) *servertest.Server
		backend func(dsn string) event.Option
	}{
		"mysql":    {servertest.SharedMariaDB, func(dsn string) event.Option { return sql.MySQL(dsn + "mysql") }},
		"postgres": {servertest.SharedPostgres, func(dsn string) event.Option { return sql.Postgres(dsn) }},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			server := c.server(t)
			p := netfault.New(t, server.Addr())
			s, err := event.New(c.backend(strings.Replace(server.DSN(), server.Addr(), p.Addr(), 1)), event.WithNamespace(servertest.Namespace(t)), event.WithDialTimeout(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close(context.Background()) })
			f(t, p, s)
		})
	}
}

func TestIdleSubscriptionsCostLittle(t *testing.T) {
	overLinks(t, func(t *testing.T, p *netfault.Proxy, s event.Stream) { links.Idle(t, p, s, 60) })
}

func TestChaosOfTheLinkLosesNothingAndKeepsOrder(t *testing.T) {
	overLinks(t, func(t *testing.T, p *netfault.Proxy, s event.Stream) {
		if s.Features().Backend == "mysql" {
			longOnly(t) // PostgreSQL's run stands for it
		}
		links.Cut(t, p, s)
	})
}
