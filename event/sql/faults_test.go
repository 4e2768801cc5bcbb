package sql_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
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
			s, err := event.New(c.backend(strings.Replace(server.DSN(), server.Addr(), p.Addr(), 1)), event.WithNamespace(servertest.Namespace(t)))
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
