package consul_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/internal/backendtest"
)

func TestOptionsHaveLimits(t *testing.T) {
	backendtest.Options(t, map[string]backendtest.Opened{
		"the shortest wait": backendtest.Taken(consul.Backend("h", consul.WithWait(time.Second))),
		"a shorter wait":    backendtest.Refused(consul.Backend("h", consul.WithWait(time.Second-1)), "wait 999.999999ms"),
		"the longest wait":  backendtest.Taken(consul.Backend("h", consul.WithWait(10*time.Minute))),
		"a longer wait":     backendtest.Refused(consul.Backend("h", consul.WithWait(10*time.Minute+1)), "wait 10m0.000000001s"),
		"no queries":        backendtest.Taken(consul.Backend("h", consul.WithQueries(0))),
		"fewer":             backendtest.Refused(consul.Backend("h", consul.WithQueries(-1)), "-1 queries"),
		"nil":               backendtest.Refused(consul.Backend("h", nil), "option 1 is nil"),
		"no address":        backendtest.Refused(consul.Backend(""), "address"),
		"no engine":         backendtest.Refused(consul.On(nil), "engine"),
	})
}
