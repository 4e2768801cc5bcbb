package redis_test

import (
	"testing"

	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/redis"
)

func TestBadInputIsRefused(t *testing.T) {
	backendtest.Options(t, map[string]backendtest.Opened{
		"an address": backendtest.Taken(redis.Backend("h")),
		"no address": backendtest.Refused(redis.Backend(""), "address"),
		"no engine":  backendtest.Refused(redis.On(nil), "engine"),
	})
}
