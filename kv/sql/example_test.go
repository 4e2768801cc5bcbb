package sql_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"log"

	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/sql"
)

func ExampleSQLite() {
	store, err := kv.New(sql.SQLite(":memory:"), kv.WithNamespace("shop")) // or a file's name
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	rev, err := store.Put(ctx, "users/1", []byte("Ada"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.Put(ctx, "users/1", []byte("Ada L."), kv.IfRevision(rev)); err != nil {
		log.Fatal(err)
	}
	item, err := store.Get(ctx, "users/1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", item.Value)
	// Output: Ada L.
}

func ExamplePostgres() {
	// WithLazy lets New succeed before the server is there.
	store, err := kv.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	f := store.Features()
	fmt.Println("durable:", f.Durable, "watch:", f.Watch)
	// Output: durable: true watch: true
}

func ExampleMySQL() {
	store, err := kv.New(sql.MySQL("mysql://shop:secret@127.0.0.1/shop"), kv.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println("linearizable:", store.Features().Linearizable)
	// Output: linearizable: true
}

func ExampleOn() {
	own, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer own.Close() // the store leaves it open
	own.SetMaxOpenConns(1)
	store, err := kv.New(sql.On(enginesql.FromDB(enginesql.SQLite, own)))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sum, err := store.Add(context.Background(), "visits", 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum)
	// Output: 2
}
