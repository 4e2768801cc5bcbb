package consul

import (
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/engine"
	vendor "github.com/micro/go-platform/engine/consul"
)

// URL takes the URLs of engine/consul for engine.Options: the source of key.
func URL(key string, opts ...Option) func(*engine.Choice) config.Option {
	return func(c *engine.Choice) config.Option {
		e, ok := vendor.URL(c)
		if !ok {
			return nil
		}
		return config.WithSource(On(e, key, opts...))
	}
}
