package kubernetes

import (
	"github.com/micro/go-platform/engine"
	vendor "github.com/micro/go-platform/engine/kubernetes"
	dsync "github.com/micro/go-platform/sync"
)

// URL takes the URLs of engine/kubernetes for engine.Options.
func URL(c *engine.Choice) dsync.Option {
	e, ok := vendor.URL(c)
	if !ok {
		return nil
	}
	return On(e)
}
