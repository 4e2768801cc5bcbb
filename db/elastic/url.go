package elastic

import (
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/engine"
)

// URL takes the URLs of Backend for engine.Options: http or https.
func URL(c *engine.Choice) db.Option {
	if !c.Takes("http", "https") {
		return nil
	}
	return Backend(c.URL())
}
