package wrapper

import (
	"context"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
)

// monitorObserver gives each endpoint's numbers to the monitor.
type monitorObserver struct{ m monitor.Monitor }

func (o monitorObserver) Begin(ctx context.Context, c *Call) context.Context { return ctx }

func (o monitorObserver) End(_ context.Context, c *Call) {
	e := monitor.Endpoint{Client: c.Side == Client, Service: c.Service, Method: c.Method}
	err := c.reason()
	if c.Class == router.ClientError || c.Class == router.Cancelled {
		err = nil // the caller's fault is no failure of the endpoint
	}
	o.m.Observe(e, c.Duration, err)
}
