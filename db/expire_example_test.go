package db_test

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/go-platform/db"
)

func ExampleTTL() {
	d, _ := db.New()
	defer d.Close()
	ctx := context.Background()
	sessions, _ := d.Table(ctx, "sessions", db.TTL(30*time.Minute))
	s := &db.Record{ID: "s1"}
	fmt.Println(sessions.Create(ctx, s), s.Expires.Sub(s.Updated))
	s.Expires = time.Now().Add(24 * time.Hour) // this one lives longer
	fmt.Println(sessions.Update(ctx, s))
	// Output:
	// <nil> 30m0s
	// <nil>
}

func ExampleSoftDelete() {
	d, _ := db.New()
	defer d.Close()
	ctx := context.Background()
	orders, _ := d.Table(ctx, "orders", db.SoftDelete(30*24*time.Hour))
	orders.Create(ctx, &db.Record{ID: "o1", Data: []byte("three bicycles")})

	fmt.Println(orders.Delete(ctx, "o1"))
	_, err := orders.Read(ctx, "o1")
	fmt.Println(err)
	for r := range orders.All(ctx, db.OnlyDeleted()) {
		fmt.Println("deleted:", r.ID)
	}
	r, err := orders.Restore(ctx, "o1")
	fmt.Printf("%s, %v\n", r.Data, err)
	fmt.Println(orders.Delete(ctx, "o1", db.Purge())) // for good
	// Output:
	// <nil>
	// db/memory: read "orders/o1": not found
	// deleted: o1
	// three bicycles, <nil>
	// <nil>
}
