package db_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/db"
)

func ExampleTable_patch() {
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	orders, _ := d.Table(ctx, "orders")
	orders.Create(ctx, &db.Record{ID: "1", Metadata: map[string]any{"customer": "ann", "draft": true}})
	r, err := orders.Patch(ctx, "1", db.Increment("total", 42), db.Unset("draft"))
	fmt.Println(r.Metadata, err)
	// Output: map[customer:ann total:42] <nil>
}

func ExampleSelect() {
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	orders, _ := d.Table(ctx, "orders")
	orders.Create(ctx, &db.Record{ID: "1", Metadata: map[string]any{"customer": "ann", "total": 42}, Data: make([]byte, 1<<20)})
	for r := range orders.All(ctx, db.Select("total")) {
		fmt.Println(r.ID, r.Metadata, len(r.Data))
	}
	// Output: 1 map[total:42] 0
}

func ExampleIndex() {
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	orders, _ := d.Table(ctx, "orders", db.Index("customer", "-total"))
	for i, total := range []int{5, 30, 20} {
		orders.Create(ctx, &db.Record{ID: fmt.Sprint(i), Metadata: map[string]any{"customer": "ann", "total": total}})
	}
	for r := range orders.All(ctx, db.Where(db.Equal("customer", "ann")), db.OrderBy("-total")) {
		fmt.Println(r.ID, r.Metadata["total"])
	}
	_, err := orders.Search(ctx, db.Where(db.Equal("note", "urgent"))) // no index begins with it
	fmt.Println(err)
	// Output:
	// 1 30
	// 2 20
	// 0 5
	// db/memory: search "orders": not supported by this backend: no Index begins with a key of this search, so it would look at every record: declare one, or allow it with AllowScan
}
