package sql_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/sql"
)

func TestOptionsAtTheirLimits(t *testing.T) {
	for _, c := range []struct {
		opt sql.Option
		why string // "" if it is well
	}{
		{sql.WithMaxConns(0), "connections 0"}, {sql.WithMaxConns(1), ""},
		{sql.WithAbandoned(-1), "abandoned"}, {sql.WithAbandoned(0), ""}, {sql.WithAbandoned(1), "abandoned"},
		{sql.WithAbandoned(time.Second - 1), "abandoned"}, {sql.WithAbandoned(time.Second), ""},
		{sql.WithDialect(0), "dialect 0"}, {sql.WithDialect(4), "dialect 4"}, {sql.WithDialect(sql.MySQL), ""},
		{sql.WithTLS(nil), "TLS"}, {sql.WithTLS(&tls.Config{}), ""}, {sql.WithSync(), ""},
	} {
		e, err := sql.Open("mysql://u:p@127.0.0.1:1/d", c.opt)
		if c.why == "" {
			if err != nil || e.Dialect() != sql.MySQL {
				t.Errorf("%v, want it to be well", err)
				continue
			}
			if n := e.DB().Stats().MaxOpenConnections; n != 10 && n != 1 {
				t.Errorf("a pool of %d", n)
			}
			e.Close()
		} else if !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v, want ErrInvalid: %s", err, c.why)
		}
	}
}

func TestAnEngineWithoutADatabase(t *testing.T) {
	none := sql.FromDB(sql.SQLite, nil)
	if err := none.Ping(t.Context()); !errors.Is(err, engine.ErrInvalid) || !strings.HasSuffix(err.Error(), "nil database") {
		t.Errorf("Ping = %v", err)
	}
	if none.DB() != nil || none.Dialect() != 0 || none.Close() != nil || none.Kind() != 0 || (*sql.Engine)(nil).Kind() != 0 {
		t.Errorf("it has a database %v, of the dialect %v", none.DB(), none.Dialect())
	}
}
