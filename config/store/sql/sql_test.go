package sql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/micro/go-platform/config/store"
	storesql "github.com/micro/go-platform/config/store/sql"
	"github.com/micro/go-platform/config/store/storetest"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	_ "modernc.org/sqlite"
)

func TestMain(m *testing.M) { leak.Main(m) }

func harness(driver, dsn string, dialect storesql.Dialect, table string, more ...storesql.Option) storetest.Harness {
	return storetest.Harness{Open: func(t *testing.T, opts ...store.Option) store.Store {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		s, err := store.New(append(opts, storesql.Backend(db, dialect, append(more, storesql.WithTable(table))...))...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}}
}

func TestStoreOnSQLiteConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		dsn := "file:" + filepath.Join(t.TempDir(), "config.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"
		return harness("sqlite", dsn, storesql.SQLite, "config_versions")
	})
}

func TestStoreOnPostgreSQLConforms(t *testing.T) {
	server := servertest.SharedPostgres(t)
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		proxy := netfault.New(t, server.Addr())
		h := harness("pgx", strings.Replace(server.DSN(), server.Addr(), proxy.Addr(), 1), storesql.PostgreSQL, table(t), often)
		h.Down, h.Up = func() { proxy.Refuse(); proxy.Reset() }, proxy.Heal
		return h
	})
}

func TestStoreOnMariaDBConforms(t *testing.T) {
	server := servertest.SharedMariaDB(t)
	db, err := sql.Open("mysql", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE DATABASE IF NOT EXISTS config_store"); err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		return harness("mysql", server.DSN()+"config_store", storesql.MySQL, table(t), often)
	})
}

// often makes the suite quick; SQLite's runs with the default.
var often = storesql.WithInterval(20 * time.Millisecond)

func table(t *testing.T) string { return "t_" + strings.ReplaceAll(servertest.Namespace(t), "-", "_") }

func TestBadArgumentsAreErrorsOfNew(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, opt := range map[string]store.Option{
		"nil database": storesql.Backend(nil, storesql.SQLite), "dialect": storesql.Backend(db, 9), "option": storesql.Backend(db, storesql.SQLite, nil),
		"table": storesql.Backend(db, storesql.SQLite, storesql.WithTable("x; drop")), "interval": storesql.Backend(db, storesql.SQLite, storesql.WithInterval(0)),
	} {
		if _, err := store.New(opt); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func ExampleBackend() {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // of SQLite in memory each connection is a database
	st, err := store.New(storesql.Backend(db, storesql.SQLite))
	if err != nil {
		panic(err)
	}
	defer st.Close()
	v, err := st.Set(context.Background(), "shop", "limit", 10, store.Author("ann"))
	fmt.Println(v, err)
	// Output: shop 1: set limit by ann <nil>
}
