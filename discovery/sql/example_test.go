package sql_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"log"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
)

func ExampleSQLite() {
	d, err := discovery.New(sql.SQLite(":memory:")) // or a file's name, for all processes of a machine
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close() // deregisters
	ctx := context.Background()
	_, err = d.Register(ctx, discovery.Instance{Service: "greeter", ID: "one", Address: "10.0.0.7:8080"})
	if err != nil {
		log.Fatal(err)
	}
	s, err := d.Get(ctx, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.State, s.Instances[0].Address)
	// Output: live 10.0.0.7:8080
}

func ExamplePostgres() {
	// WithLazy lets New succeed before the server is there.
	d, err := discovery.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"), discovery.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	s, ok := d.Lookup("greeter")
	fmt.Println(s.State, ok)
	// Output: cold false
}

func ExampleMySQL() {
	d, err := discovery.New(sql.MySQL("mysql://shop:secret@127.0.0.1/shop"), discovery.WithNamespace("shop"), discovery.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	s, ok := d.Lookup("greeter")
	fmt.Println(s.State, ok)
	// Output: cold false
}

func ExampleOn() {
	own, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer own.Close() // the registry leaves it open
	own.SetMaxOpenConns(1)
	d, err := discovery.New(sql.On(enginesql.FromDB(enginesql.SQLite, own)))
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	names, err := d.Services(context.Background())
	fmt.Println(len(names), err)
	// Output: 0 <nil>
}
