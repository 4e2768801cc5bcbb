package consul

import (
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/engine"
)

// URL takes the URLs of Source for engine.Options, consul or consuls: the source of
// key.
func URL(key string, opts ...Option) func(*engine.Choice) config.Option {
	return func(c *engine.Choice) config.Option {
		if !c.Takes("consul", "consuls") {
			return nil
		}
		return config.WithSource(Source(c.URL(), key, opts...))
	}
}
