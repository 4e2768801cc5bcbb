package sql_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
)

func ExampleSQLite() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	d, err := db.New(sql.SQLite(filepath.Join(dir, "shop.db")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	ctx := context.Background()
	orders, err := d.Table(ctx, "orders", db.Index("customer", "total"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, customer := range []string{"ann", "bob", "ann"} {
		if err := orders.Create(ctx, &db.Record{ID: fmt.Sprint("o", i), Metadata: map[string]any{"customer": customer, "total": 10 * i}}); err != nil {
			fmt.Println(err)
			return
		}
	}
	for r, err := range orders.All(ctx, db.Where(db.Equal("customer", "ann"), db.GreaterOrEqual("total", 0)), db.OrderBy("-total")) {
		fmt.Println(r.ID, r.Metadata["total"], err)
	}
	// Output:
	// o2 20 <nil>
	// o0 0 <nil>
}

func ExampleWithExisting() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "crm.db")
	crm, err := dbsql.Open("sqlite", file)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer crm.Close()
	_, err = crm.Exec(`CREATE TABLE customer (email TEXT PRIMARY KEY, country TEXT, orders INTEGER, rev INTEGER);
		CREATE INDEX by_country ON customer (country);
		INSERT INTO customer VALUES ('ann@example.org', 'DE', 7, 1), ('bob@example.org', 'FR', 0, 1), ('eve@example.org', 'DE', NULL, 3)`)
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	// snippet: existing
	d, err := db.New(sql.SQLite(file, sql.WithExisting("customers", sql.Existing{Table: "customer", ID: "email", Version: "rev"})))
	// end snippet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	customers, err := d.Table(ctx, "customers", db.Index("country"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for r, err := range customers.All(ctx, db.Where(db.Equal("country", "DE"))) {
		fmt.Println(r.ID, r.Version, r.Metadata, err)
	}
	// Output:
	// ann@example.org 1 map[country:DE orders:7] <nil>
	// eve@example.org 3 map[country:DE] <nil>
}

func ExampleOn() {
	handle, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handle.Close()
	handle.SetMaxOpenConns(1) // of ":memory:" each connection is a database
	d, err := db.New(sql.On(enginesql.FromDB(enginesql.SQLite, handle)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Features().Backend, d.Close(), handle.Ping())
	// Output: sqlite <nil> <nil>
}

func ExamplePostgres() {
	// WithLazy: no server is needed yet.
	d, err := db.New(sql.Postgres("postgres://shop:secret@127.0.0.1:5432/shop"), db.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Features().Backend, d.Close())
	// Output: postgres <nil>
}

func ExampleMySQL() {
	d, err := db.New(sql.MySQL("mysql://shop:secret@127.0.0.1:3306/shop"), db.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Features().Backend, d.Close())
	// Output: mysql <nil>
}

// The user's own statements, or an outbox, are part of a transaction.
func ExampleSQLite_transaction() {
	ctx := context.Background()
	handle, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handle.Close()
	handle.SetMaxOpenConns(1) // of ":memory:" each connection is a database
	handle.Exec("CREATE TABLE audit (note TEXT)")
	d, err := db.New(sql.On(enginesql.FromDB(enginesql.SQLite, handle)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	if _, err := d.Table(ctx, "orders"); err != nil {
		fmt.Println(err)
		return
	}
	err = d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
		orders, err := tx.Table(ctx, "orders")
		if err != nil {
			return err
		}
		if err := orders.Create(ctx, &db.Record{ID: "1"}); err != nil {
			return err
		}
		own, _ := db.SQL(tx)
		_, err = own.ExecContext(ctx, "INSERT INTO audit (note) VALUES ('order 1')")
		return err
	})
	var note string
	handle.QueryRow("SELECT note FROM audit").Scan(&note)
	fmt.Println(note, err)
	// Output: order 1 <nil>
}
