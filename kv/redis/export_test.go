package redis

import (
	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/kv"
)

// Alone is On that gives every call a round trip of its own.
func Alone(e *engine.Engine) kv.Option { return open(e.Conn, true) }
