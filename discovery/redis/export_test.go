package redis

import (
	"time"

	"github.com/micro/go-platform/discovery"
)

// Polling is Backend that reads a service so often while nothing happens.
func Polling(addr string, every time.Duration) discovery.Option { return open(at(addr), every) }
