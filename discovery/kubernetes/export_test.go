package kubernetes

import (
	"time"

	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/kubernetes"
)

// Owning is On that closes the engine, as Backend does.
func Owning(e *engine.Engine, opts ...Option) discovery.Option { return open(e.Conn, true, opts) }

// WithPoll sets how often the API server is asked for a sign of life.
func WithPoll(d time.Duration) Option {
	return func(o *options) error { o.poll = d; return nil }
}
