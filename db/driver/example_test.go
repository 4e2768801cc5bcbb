package driver_test

import (
	"bytes"
	"fmt"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
)

func ExampleSortKey() {
	fmt.Println(bytes.Compare(dbdriver.SortKey(int64(2)), dbdriver.SortKey(10.5)), bytes.Equal(dbdriver.SortKey(int64(2)), dbdriver.SortKey(2.0)))
	// Output: -1 true
}

func ExampleEncodeMetadata() {
	b, err := dbdriver.EncodeMetadata(map[string]any{"total": 2.0, "count": int64(2)})
	fmt.Println(string(b), err)
	md, err := dbdriver.DecodeMetadata(b)
	fmt.Println(md, err)
	// Output:
	// {"count":2,"total":2.0} <nil>
	// map[count:2 total:2] <nil>
}

func ExampleWords() {
	fmt.Printf("%q", dbdriver.Words("Red bicycle, red bell"))
	// Output: ["red" "bicycle" "bell"]
}

func ExampleIndexName() {
	fmt.Println(dbdriver.IndexName([]db.Order{{Key: "customer"}, {Key: "total", Desc: true}}))
	// Output: customer,-total
}
