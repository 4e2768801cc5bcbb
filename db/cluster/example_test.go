package cluster_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cluster"
	"github.com/micro/go-platform/discovery"
)

func ExampleFromDiscovery() {
	ctx := context.Background()
	d, err := discovery.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	if _, err := d.Register(ctx, discovery.Instance{Service: "db.orders", Address: "10.0.0.7:5432", Labels: map[string]string{"driver": "memory", "role": cluster.Primary}}); err != nil {
		fmt.Println(err)
		return
	}
	database, err := db.New(cluster.FromDiscovery(d, "orders",
		cluster.WithBackend("memory", func(n cluster.Node) db.Option {
			fmt.Println("opening", n.URL("postgres")) // as sql.Postgres takes it
			return db.Memory()
		}),
		cluster.WithCredentials(func(context.Context, cluster.Node) (cluster.Credentials, error) {
			return cluster.Credentials{User: "shop", Password: "secret"}, nil
		})))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer database.Close()
	table, err := database.Table(ctx, "things")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(table.Create(ctx, &db.Record{Metadata: map[string]any{"customer": "ann"}}))
	// Output:
	// opening postgres://shop:secret@10.0.0.7:5432/orders
	// <nil>
}
