package driver_test

import (
	"fmt"

	kvdriver "github.com/micro/go-platform/kv/driver"
)

func ExampleAddTo() {
	fmt.Println(kvdriver.AddTo([]byte("41"), 1))
	fmt.Println(kvdriver.AddTo([]byte("a lot"), 1))
	// Output:
	// 42 <nil>
	// 0 invalid: the value is not a number
}
