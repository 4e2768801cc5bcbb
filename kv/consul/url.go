package consul

import (
	"github.com/micro/go-platform/engine"
	vendor "github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/kv"
)

// URL takes the URLs of engine/consul for engine.Options.
func URL(c *engine.Choice) kv.Option {
	e, ok := vendor.URL(c)
	if !ok {
		return nil
	}
	return On(e)
}
