package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/elastic"
)

func ExampleBackend() {
	server := newFake() // in place of Elasticsearch or OpenSearch
	defer server.Close()
	d, err := db.New(elastic.Backend(server.URL, elastic.WithPrefix("shop-"), elastic.WithReplicas(1)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	ctx := context.Background()
	orders, err := d.Table(ctx, "orders") // the index shop-orders-1 with the alias shop-orders
	if err != nil {
		fmt.Println(err)
		return
	}
	o := &db.Record{ID: "o1", Metadata: map[string]any{"customer": "ann", "total": 42}}
	if err := orders.Create(ctx, o); err != nil {
		fmt.Println(err)
		return
	}
	stale := o.Clone()
	o.Metadata["total"] = 43
	fmt.Println(orders.Update(ctx, o), o.Version-stale.Version)
	fmt.Println(errors.Is(orders.Update(ctx, stale), db.ErrConflict))
	for r, err := range orders.All(ctx) {
		fmt.Println(r.ID, r.Metadata["total"], err)
	}
	// Output:
	// <nil> 1
	// true
	// o1 43 <nil>
}

func ExampleBackend_batch() {
	server := newFake()
	defer server.Close()
	d, err := db.New(elastic.Backend(server.URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	ctx := context.Background()
	orders, err := d.Table(ctx, "orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = orders.Batch(ctx, db.CreateOp(&db.Record{ID: "o1"}), db.DeleteOp("o7"), db.CreateOp(&db.Record{ID: "o2"}))
	var failed *db.BatchError
	if errors.As(err, &failed) { // the others are done
		fmt.Println("o1:", failed.Errs[0])
		fmt.Println("o7 was not there:", errors.Is(failed.Errs[1], db.ErrNotFound))
		fmt.Println("o2:", failed.Errs[2])
	}
	// Output:
	// o1: <nil>
	// o7 was not there: true
	// o2: <nil>
}

func ExampleWithRefresh() {
	// Several processes write, and every search is to see all of it.
	d, err := db.New(elastic.Backend("https://shop:secret@search-1,https://shop:secret@search-2", elastic.WithRefresh(elastic.RefreshSearches)), db.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Features().Immediate, d.Close())
	// Output: true <nil>
}

// stamp shows who is asking, as a gateway in front of the servers wants it.
type stamp struct{ http.RoundTripper }

func (s stamp) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Caller", "orders")
	return s.RoundTripper.RoundTrip(r)
}

func ExampleWithClient() {
	server := newFake()
	defer server.Close()
	client := &http.Client{Transport: stamp{http.DefaultTransport}, Timeout: 30 * time.Second}
	d, err := db.New(elastic.Backend(server.URL, elastic.WithClient(client)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Features().Backend, d.Close())
	client.CloseIdleConnections() // which are the caller's
	// Output: elastic <nil>
}
