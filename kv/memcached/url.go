package memcached

import (
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/kv"
)

// URL takes the URLs of Backend for engine.Options: memcached or memcacheds.
func URL(c *engine.Choice) kv.Option {
	if !c.Takes("memcached", "memcacheds") {
		return nil
	}
	return Backend(c.URL())
}
