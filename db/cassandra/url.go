package cassandra

import (
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/engine"
)

// URL takes the URLs of Backend for engine.Options: cassandra.
func URL(c *engine.Choice) db.Option {
	if !c.Takes("cassandra") {
		return nil
	}
	return Backend(c.URL())
}
