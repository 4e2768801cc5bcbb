package consul

import (
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/kv"
)

// URL takes the URLs of Backend for engine.Options: consul or consuls.
func URL(c *engine.Choice) kv.Option {
	if !c.Takes("consul", "consuls") {
		return nil
	}
	return Backend(c.URL())
}
