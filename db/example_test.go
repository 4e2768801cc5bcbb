package db_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/micro/go-platform/db"
)

func ExampleNew() {
	d, err := db.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	fmt.Println(d.Features().Backend)
	// Output: memory
}

func ExampleTable_create() {
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	orders, _ := d.Table(ctx, "orders", db.Index("customer"))

	r := &db.Record{ID: "42", Metadata: map[string]any{"customer": "ann"}, Data: []byte("tea")}
	fmt.Println(orders.Create(ctx, r), r.Version)
	fmt.Println(errors.Is(orders.Create(ctx, r), db.ErrExists))
	// Output:
	// <nil> 1
	// true
}

func ExampleTable_update() {
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	orders, _ := d.Table(ctx, "orders")
	orders.Create(ctx, &db.Record{ID: "42", Data: []byte("tea")})

	mine, _ := orders.Read(ctx, "42")
	theirs, _ := orders.Read(ctx, "42")
	mine.Data = []byte("coffee")
	fmt.Println(orders.Update(ctx, mine))
	theirs.Data = []byte("milk")
	fmt.Println(errors.Is(orders.Update(ctx, theirs), db.ErrConflict))
	// Output:
	// <nil>
	// true
}

func ExampleTable_search() {
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	orders, _ := d.Table(ctx, "orders", db.Index("customer", "total"))
	for i, total := range []int{30, 5, 20, 40} {
		orders.Create(ctx, &db.Record{ID: fmt.Sprint(i), Metadata: map[string]any{"customer": "ann", "total": total}})
	}

	options := []db.SearchOption{db.Where(db.Equal("customer", "ann"), db.Greater("total", 10)), db.OrderBy("-total"), db.Limit(2)}
	page, _ := orders.Search(ctx, options...)
	for _, r := range page.Records {
		fmt.Println(r.Metadata["total"])
	}
	page, _ = orders.Search(ctx, append(options, db.After(page.Next))...)
	fmt.Println("next page:", page.Records[0].Metadata["total"], page.Next == "")
	// Output:
	// 40
	// 30
	// next page: 20 true
}

func ExampleTable_all() {
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	users, _ := d.Table(ctx, "users")
	users.Batch(ctx, db.CreateOp(&db.Record{ID: "ann"}), db.CreateOp(&db.Record{ID: "bob"}))
	for r, err := range users.All(ctx) {
		fmt.Println(r.ID, err)
	}
	n, _ := users.Count(ctx)
	fmt.Println(n)
	// Output:
	// ann <nil>
	// bob <nil>
	// 2
}

func ExampleDB_tx() {
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	accounts, _ := d.Table(ctx, "accounts")
	accounts.Create(ctx, &db.Record{ID: "ann", Metadata: map[string]any{"euro": 10}})

	err := d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
		accounts, err := tx.Table(ctx, "accounts")
		if err != nil {
			return err
		}
		r, err := accounts.Read(ctx, "ann")
		if err != nil {
			return err
		}
		r.Metadata["euro"] = 0
		if err := accounts.Update(ctx, r); err != nil {
			return err
		}
		return errors.New("no such receiver")
	})
	r, _ := accounts.Read(ctx, "ann")
	fmt.Println(err, r.Metadata["euro"])
	// Output: db/memory: tx: no such receiver 10
}

func ExampleCollection() {
	type order struct {
		Customer string `db:"customer"`
		Total    int    `db:"total"`
		Note     string
	}
	ctx := context.Background()
	d, _ := db.New()
	defer d.Close()
	table, _ := d.Table(ctx, "orders", db.Index("customer", "total"))
	orders, _ := db.NewCollection[order](table)

	orders.Put(ctx, "1", order{Customer: "ann", Total: 3})
	orders.Modify(ctx, "1", func(o *order) error { o.Total++; return nil })
	for d, err := range orders.Find(ctx, db.Where(db.Equal("customer", "ann"))) {
		fmt.Println(d.ID, d.Version, d.Value.Total, err)
	}
	// Output: 1 2 4 <nil>
}
