package driver_test

import (
	"fmt"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
)

func ExampleAppendRecord() {
	stored := eventdriver.AppendRecord(nil, &event.Record{ID: "1", Type: "order.created", Data: []byte("42")})
	r, err := eventdriver.ParseRecord(string(stored))
	fmt.Println(r.ID, r.Type, string(r.Data), err)
	_, err = eventdriver.ParseRecord("something else")
	fmt.Println(err)
	// Output:
	// 1 order.created 42 <nil>
	// not an encoded record (14 bytes)
}
