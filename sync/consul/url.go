package consul

import (
	"github.com/micro/go-platform/engine"
	dsync "github.com/micro/go-platform/sync"
)

// URL takes the URLs of Backend for engine.Options: consul or consuls.
func URL(c *engine.Choice) dsync.Option {
	if !c.Takes("consul", "consuls") {
		return nil
	}
	return Backend(c.URL())
}
