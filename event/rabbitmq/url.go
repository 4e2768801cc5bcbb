package rabbitmq

import (
	"github.com/micro/go-platform/engine"
	vendor "github.com/micro/go-platform/engine/rabbitmq"
	"github.com/micro/go-platform/event"
)

// URL takes the URLs of engine/rabbitmq for engine.Options.
func URL(c *engine.Choice) event.Option {
	e, ok := vendor.URL(c)
	if !ok {
		return nil
	}
	return On(e)
}
