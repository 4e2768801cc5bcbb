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

	"github.com/micro/go-platform/config/store"
	storesql "github.com/micro/go-platform/config/store/sql"
	"github.com/micro/go-platform/config/store/storetest"
	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func harness(backend store.Option) storetest.Harness {
	return storetest.Harness{Open: func(t *testing.T, opts ...store.Option) store.Store {
		s, err := store.New(append(opts, backend)...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}}
}

func TestStoreOnSQLiteConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		return harness(storesql.SQLite(filepath.Join(t.TempDir(), "config.db")))
	})
}

func TestStoreOnPostgreSQLConforms(t *testing.T) {
	server := servertest.SharedPostgres(t)
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		proxy := netfault.New(t, server.Addr())
		h := harness(storesql.Postgres(strings.Replace(server.DSN(), server.Addr(), proxy.Addr(), 1), table(t), often))
		h.Down, h.Up = func() { proxy.Refuse(); proxy.Reset() }, proxy.Heal
		return h
	})
}

func TestStoreOnMariaDBConforms(t *testing.T) {
	server := servertest.SharedMariaDB(t)
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		proxy := netfault.New(t, server.Addr())
		h := harness(storesql.MySQL(strings.Replace(server.DSN(), server.Addr(), proxy.Addr(), 1)+"mysql", table(t), often))
		h.Down, h.Up = func() { proxy.Refuse(); proxy.Reset() }, proxy.Heal
		return h
	})
}

// often makes the suite quick; SQLite's runs with the default.
var often = storesql.WithInterval(20 * time.Millisecond)

func table(t *testing.T) storesql.Option {
	return storesql.WithTable("t_" + strings.ReplaceAll(servertest.Namespace(t), "-", "_"))
}

// A database that the program has opened by itself, with a driver of its choice, is
// used as it is and stays open.
func TestOnYourOwnDatabase(t *testing.T) {
	own, err := dbsql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "config.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	s, err := store.New(storesql.On(engine.FromDB(engine.SQLite, own), storesql.WithTable("OF_SNOW_TABLE_")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Set(t.Context(), "shop", "limit", 10)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Close()
	if err != nil {
		t.Fatal(err)
	}
	var rows int
	err = own.QueryRow("SELECT COUNT(*) FROM OF_SNOW_TABLE_").Scan(&rows)
	if err != nil || rows != 1 {
		t.Errorf("%d versions in the table, %v, want 1", rows, err)
	}
}

// New with WithLazy asks nothing of the database, and the table is made all the same,
// again after it was lost.
func TestTheTableIsMadeWhenItIsMissing(t *testing.T) {
	own, err := dbsql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "config.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	s, err := store.New(storesql.On(engine.FromDB(engine.SQLite, own)), store.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Set(t.Context(), "shop", "limit", 10)
	if err != nil {
		t.Fatalf("the first write: %v", err)
	}
	_, err = own.Exec("DROP TABLE config_versions")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), "shop")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without the table: %v, want ErrUnavailable", err)
	}
	v, err := s.Set(t.Context(), "shop", "limit", 11)
	if err != nil || v.Number != 1 {
		t.Errorf("after that: %v, %v, want version 1", v, err)
	}
}

func TestBadArgumentsAreErrorsOfNew(t *testing.T) {
	own, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for name, opt := range map[string]store.Option{
		"nil engine": storesql.On(nil), "nil database": storesql.On(engine.FromDB(engine.SQLite, nil)), "dialect": storesql.On(engine.FromDB(9, own)),
		"no file": storesql.SQLite(""), "address": storesql.MySQL("x"), "libpq": storesql.Postgres("postgres://[/"),
		"option": storesql.SQLite(":memory:", nil), "table": storesql.SQLite(":memory:", storesql.WithTable("x; drop")),
	} {
		_, err := store.New(opt)
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func ExampleSQLite() {
	st, err := store.New(storesql.SQLite(":memory:"))
	if err != nil {
		panic(err)
	}
	defer st.Close()
	v, err := st.Set(context.Background(), "shop", "limit", 10, store.Author("ann"))
	fmt.Println(v, err)
	// Output: shop 1: set limit by ann <nil>
}

func ExampleOn() {
	e, err := engine.Open("sqlite::memory:") // also postgres:// and mysql://
	if err != nil {
		panic(err)
	}
	defer e.Close()
	st, err := store.New(storesql.On(e))
	if err != nil {
		panic(err)
	}
	defer st.Close()
	v, err := st.Set(context.Background(), "shop", "limit", 10)
	fmt.Println(v, err)
	// Output: shop 1: set limit <nil>
}

func ExamplePostgres() {
	_, err := store.New(storesql.Postgres("postgres://shop:secret@127.0.0.1:1/shop"))
	fmt.Println(errors.Is(err, store.ErrUnavailable))
	// Output: true
}

func ExampleMySQL() {
	_, err := store.New(storesql.MySQL("mysql://shop:secret@127.0.0.1:1/shop"))
	fmt.Println(errors.Is(err, store.ErrUnavailable))
	// Output: true
}
