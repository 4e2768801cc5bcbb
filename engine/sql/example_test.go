package sql_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/micro/go-platform/db"
	platformsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/kv"
	kvsql "github.com/micro/go-platform/kv/sql"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	e, err := sql.Open("sqlite:"+filepath.Join(dir, "shop.db"), sql.WithSync()) // or postgres://, mysql://
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it

	records, err := db.New(platformsql.On(e))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer records.Close()
	store, err := kv.New(kvsql.On(e))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	n, err := store.Add(context.Background(), "visits", 1)
	fmt.Println(e.Dialect(), n, err)
	// Output: sqlite 1 <nil>
}

func ExampleFromDB() {
	own, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer own.Close() // Close of the engine and of the store leave it open
	own.SetMaxOpenConns(1)

	store, err := kv.New(kvsql.On(sql.FromDB(sql.SQLite, own)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Close(), own.Ping())
	// Output: <nil> <nil>
}
