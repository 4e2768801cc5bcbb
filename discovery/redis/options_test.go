package redis_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/redis"
)

func TestOptionsHaveLimits(t *testing.T) {
	backendtest.Options(t, map[string]backendtest.Opened{
		"the shortest poll": backendtest.Taken(redis.Backend("h", redis.WithPoll(time.Second))),
		"a shorter one":     backendtest.Refused(redis.Backend("h", redis.WithPoll(time.Second-1)), "poll period 999.999999ms"),
		"nil":               backendtest.Refused(redis.Backend("h", nil), "option 1 is nil"),
		"no address":        backendtest.Refused(redis.Backend(""), "address"),
		"no engine":         backendtest.Refused(redis.On(nil), "engine"),
	})
}
