package kubernetes

import (
	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/kubernetes"
)

// Owning is On that closes the engine, as Backend does.
func Owning(e *engine.Engine, opts ...Option) discovery.Option { return open(e.Conn, true, opts) }
