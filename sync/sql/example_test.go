package sql_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"log"

	enginesql "github.com/micro/go-platform/engine/sql"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/sql"
)

func ExampleSQLite() {
	s, err := dsync.New(sql.SQLite(":memory:")) // or a file's name, for all processes of a machine
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	err = dsync.Do(context.Background(), s, "reports", func(_ context.Context, token uint64) error {
		fmt.Println("one at a time, with a token:", token > 0)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: one at a time, with a token: true
}

func ExamplePostgres() {
	// WithLazy lets New succeed before the server is there.
	s, err := dsync.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"), dsync.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	fmt.Println("fair:", s.Features().Fair)
	// Output: fair: true
}

func ExampleMySQL() {
	s, err := dsync.New(sql.MySQL("mysql://shop:secret@127.0.0.1/shop"), dsync.WithLazy())
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	fmt.Println("semaphores:", s.Features().Limits)
	// Output: semaphores: true
}

func ExampleOn() {
	own, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer own.Close() // the locks leave it open
	own.SetMaxOpenConns(1)
	s, err := dsync.New(sql.On(enginesql.FromDB(enginesql.SQLite, own)))
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	lock, err := s.Lock(context.Background(), "reports")
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Unlock(context.Background())
	fmt.Println("held:", lock.Context().Err() == nil)
	// Output: held: true
}
