package kubernetes

import (
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/engine"
	vendor "github.com/micro/go-platform/engine/kubernetes"
)

// URL takes the URLs of engine/kubernetes for engine.Options: the source of an
// object, "configmap/NAME" or "secret/NAME".
func URL(object string, opts ...Option) func(*engine.Choice) config.Option {
	return func(c *engine.Choice) config.Option {
		e, ok := vendor.URL(c)
		if !ok {
			return nil
		}
		return config.WithSource(On(e, object, opts...))
	}
}
