package cassandra_test

import (
	"context"
	"errors"
	"fmt"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
)

func ExampleBackend() {
	// WithLazy: no server is needed yet.
	d, err := db.New(cassandra.Backend("cassandra://shop:secret@10.0.0.1,10.0.0.2/shop", cassandra.WithDatacenter("east")), db.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fs := d.Features()
	fmt.Println(fs.Backend, "transactions:", fs.Transactions, "compare:", fs.Compare, "or:", fs.Or)
	err = d.Tx(context.Background(), func(context.Context, db.DB) error { return nil })
	fmt.Println(errors.Is(err, db.ErrUnsupported), d.Close())
	// Output:
	// cassandra transactions: false compare: true or: false
	// true <nil>
}

func ExampleWithCreate() {
	d, err := db.New(cassandra.Backend("10.0.0.1:9042", cassandra.WithKeyspace("shop"), cassandra.WithCreate(3, "east", "west"), cassandra.WithConsistency(gocql.Quorum)), db.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Features().Backend, d.Close())
	// Output: cassandra <nil>
}

func ExampleWithClient() {
	ctx := context.Background()
	session, err := gocql.NewCluster("10.0.0.1").CreateSession()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	d, err := db.New(cassandra.WithClient(session, cassandra.WithKeyspace("shop")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	orders, err := d.Table(ctx, "orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := orders.Create(ctx, &db.Record{Metadata: map[string]any{"customer": "ann", "total": 42}}); err != nil {
		fmt.Println(err)
		return
	}
	// The greatest totals first, from the index of the key.
	for r, err := range orders.All(ctx, db.Where(db.Greater("total", 0)), db.OrderBy("-total")) {
		fmt.Println(r, err)
	}
}
