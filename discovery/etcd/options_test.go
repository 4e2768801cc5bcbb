package etcd_test

import (
	"testing"

	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/internal/backendtest"
)

func TestBadInputIsRefused(t *testing.T) {
	backendtest.Options(t, map[string]backendtest.Opened{
		"an address": backendtest.Taken(etcd.Backend("h")),
		"no address": backendtest.Refused(etcd.Backend(""), "address"),
		"no engine":  backendtest.Refused(etcd.On(nil), "engine"),
	})
}
