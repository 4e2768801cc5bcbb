package consul

import (
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/engine"
)

// URL takes the URLs of Backend for engine.Options: consul or consuls.
func URL(c *engine.Choice) discovery.Option {
	if !c.Takes("consul", "consuls") {
		return nil
	}
	return Backend(c.URL())
}
