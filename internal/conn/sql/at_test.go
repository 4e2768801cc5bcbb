package sql_test

import (
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/conn/sql"
)

// A password with an '@' that is not escaped is a password, not half of a host.
func TestPasswordsMayHoldAnAt(t *testing.T) {
	for addr, want := range map[string]string{
		"postgres://bob:p@ss@127.0.0.1:1/x":            "127.0.0.1:1/x",
		"postgres://bob:p%40ss@127.0.0.1:1/x":          "127.0.0.1:1/x",
		"postgres://bob@127.0.0.1:1/x":                 "127.0.0.1:1/x",
		"postgres://127.0.0.1:1/x":                     "127.0.0.1:1/x",
		"host=127.0.0.1 port=1 password=p@ss dbname=x": "127.0.0.1:1/x",
	} {
		db, err := sql.Open(sql.Config{Kind: sql.Postgres, Address: addr})
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if db.Addr() != want {
			t.Errorf("%s: the database is at %s, want %s", addr, db.Addr(), want)
		}
		err = db.Ping(t.Context())
		if err == nil || strings.Contains(err.Error(), "ss@") {
			t.Errorf("%s: %v", addr, err)
		}
		db.Close()
	}
}
