package consul_test

import (
	"testing"

	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/internal/backendtest"
)

func TestOptionsHaveLimits(t *testing.T) {
	backendtest.Options(t, map[string]backendtest.Opened{
		"no queries": backendtest.Taken(consul.Backend("h", consul.WithQueries(0))),
		"fewer":      backendtest.Refused(consul.Backend("h", consul.WithQueries(-1)), "-1 queries"),
		"nil":        backendtest.Refused(consul.Backend("h", nil), "option 1 is nil"),
		"no address": backendtest.Refused(consul.Backend(""), "address"),
		"no engine":  backendtest.Refused(consul.On(nil), "engine"),
	})
}
