package kubernetes

import (
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/engine"
	vendor "github.com/micro/go-platform/engine/kubernetes"
)

// URL takes the URLs of engine/kubernetes for engine.Options.
func URL(c *engine.Choice) discovery.Option {
	e, ok := vendor.URL(c)
	if !ok {
		return nil
	}
	return On(e)
}
