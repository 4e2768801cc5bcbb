package etcd

import (
	"time"

	"github.com/micro/go-platform/discovery"
)

// Polling is Backend whose idle watches ask so often for a sign of life.
func Polling(addr string, every time.Duration) discovery.Option { return open(at(addr), every) }
