package kv_test

import (
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// The store finds the abilities that package kv/driver describes: an interface
// that differs in one method, on either side, does not compile here.
var (
	_ kv.ExpiryDriver       = kvdriver.ExpiryDriver(nil)
	_ fronts.Adviser        = kvdriver.AdviceDriver(nil)
	_ kv.BatchDriver        = kvdriver.BatchDriver(nil)
	_ kv.CounterDriver      = kvdriver.CounterDriver(nil)
	_ kv.ListDriver         = kvdriver.ListDriver(nil)
	_ kv.WatchDriver        = kvdriver.WatchDriver(nil)
	_ kv.InvalidationDriver = kvdriver.InvalidationDriver(nil)

	_ kvdriver.ExpiryDriver       = kv.ExpiryDriver(nil)
	_ kvdriver.AdviceDriver       = fronts.Adviser(nil)
	_ kvdriver.BatchDriver        = kv.BatchDriver(nil)
	_ kvdriver.CounterDriver      = kv.CounterDriver(nil)
	_ kvdriver.ListDriver         = kv.ListDriver(nil)
	_ kvdriver.WatchDriver        = kv.WatchDriver(nil)
	_ kvdriver.InvalidationDriver = kv.InvalidationDriver(nil)
)
