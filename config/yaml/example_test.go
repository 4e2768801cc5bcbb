package yaml_test

import (
	"fmt"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/yaml"
)

func ExampleFormat() {
	s, err := config.ParseSnapshot(yaml.Format{}, []byte("base: &base {port: 80, tls: true}\nserver: {<<: *base, port: 443}\n"))
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Get("server"))
	// Output: {"port":443,"tls":true}
}
