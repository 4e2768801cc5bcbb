package kubernetes_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/kubernetes"
)

func TestOptionsHaveLimits(t *testing.T) {
	const addr = "https://127.0.0.1:1"
	backendtest.Options(t, map[string]backendtest.Opened{
		"targets":    backendtest.Taken(kubernetes.Backend(addr, kubernetes.WithTargets(kubernetes.ParseTarget))),
		"no targets": backendtest.Refused(kubernetes.Backend(addr, kubernetes.WithTargets(nil)), "nil function"),
		"nil":        backendtest.Refused(kubernetes.Backend(addr, nil), "option 1 is nil"),
		"no address": backendtest.Refused(kubernetes.Backend(""), "address"),
		"no engine":  backendtest.Refused(kubernetes.On(nil), "nil engine"),
	})
}

// What has no place in the cluster is said before anything is asked.
func TestTargetsThatAreNone(t *testing.T) {
	targets := map[string]kubernetes.Target{
		"nowhere": {}, "bad": {Namespace: "A_B", Service: "s"}, "good": {Namespace: "shop", Service: "s"},
	}
	d, err := discovery.New(kubernetes.Backend("https://127.0.0.1:1", kubernetes.WithRegistration(),
		kubernetes.WithTargets(func(service string) kubernetes.Target { return targets[service] })), discovery.WithLazy(), discovery.WithTimeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for service, c := range map[string]struct {
		kind error
		want string
	}{
		"nowhere": {discovery.ErrInvalid, `service "nowhere" has no target`}, "bad": {discovery.ErrInvalid, "A_B"}, "good": {discovery.ErrUnavailable, "127.0.0.1:1"},
	} {
		_, register := d.Register(t.Context(), discovery.Instance{Service: service, Address: "10.0.0.1:80"})
		_, get := d.Get(t.Context(), service)
		for what, err := range map[string]error{"register": register, "get": get} {
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s of %s: %v, want %v with %q", what, service, err, c.kind, c.want)
			}
		}
	}
}
