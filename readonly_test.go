package platform_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/kv/ring"
)

// Where somebody else enters the instances, a service runs without registering,
// and says so. One whose instances have to find each other does not.
func TestAReadOnlyRegistry(t *testing.T) {
	listed := discovery.Instance{Service: "greeter", ID: "one", Address: "192.0.2.1:80"}
	readOnly := platform.WithDiscovery(static.Backend(listed))
	r := start(t, []platform.Option{readOnly}, platform.HTTP("127.0.0.1:0", http.NotFoundHandler()))
	for end := time.Now().Add(10 * time.Second); !strings.Contains(r.logs.String(), "not registered") && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	if n := strings.Count(r.logs.String(), "not registered: the registry is read-only"); n != 1 {
		t.Errorf("said %d times in\n%s", n, r.logs)
	}
	r = made(t, []platform.Option{readOnly, platform.WithRing(ring.Member(ring.WithKey([]byte("0123456789abcdef0123456789abcdef"))))})
	err := r.Run(t.Context(), platform.HTTP("127.0.0.1:0", http.NotFoundHandler()))
	if !errors.Is(err, discovery.ErrUnsupported) {
		t.Errorf("with a ring: %v, want ErrUnsupported", err)
	}
}
