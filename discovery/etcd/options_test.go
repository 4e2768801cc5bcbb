package etcd_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/internal/backendtest"
)

func TestOptionsHaveLimits(t *testing.T) {
	backendtest.Options(t, map[string]backendtest.Opened{
		"the shortest poll": backendtest.Taken(etcd.Backend("h", etcd.WithPoll(time.Second))),
		"a shorter one":     backendtest.Refused(etcd.Backend("h", etcd.WithPoll(time.Second-1)), "poll period 999.999999ms"),
		"nil":               backendtest.Refused(etcd.Backend("h", nil), "option 1 is nil"),
		"no address":        backendtest.Refused(etcd.Backend(""), "address"),
		"no engine":         backendtest.Refused(etcd.On(nil), "engine"),
	})
}
