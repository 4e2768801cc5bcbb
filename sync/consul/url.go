package consul

import (
	"github.com/micro/go-platform/engine"
	vendor "github.com/micro/go-platform/engine/consul"
	dsync "github.com/micro/go-platform/sync"
)

// URL takes the URLs of engine/consul for engine.Options.
func URL(c *engine.Choice) dsync.Option {
	e, ok := vendor.URL(c)
	if !ok {
		return nil
	}
	return On(e)
}
