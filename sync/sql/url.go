package sql

import (
	"github.com/micro/go-platform/engine"
	vendor "github.com/micro/go-platform/engine/sql"
	dsync "github.com/micro/go-platform/sync"
)

// URL takes the URLs of engine/sql for engine.Options.
func URL(c *engine.Choice) dsync.Option {
	e, ok := vendor.URL(c)
	if !ok {
		return nil
	}
	return On(e)
}
