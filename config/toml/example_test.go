package toml_test

import (
	"fmt"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/toml"
)

func ExampleFormat() {
	s, err := config.ParseSnapshot(toml.Format{}, []byte("[server]\nport = 443\nhosts = ['a', 'b']\n"))
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Get("server"))
	// Output: {"hosts":["a","b"],"port":443}
}
