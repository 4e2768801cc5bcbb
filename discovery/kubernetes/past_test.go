package kubernetes

import (
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
)

// TestANamespaceWhereNothingWasSeenIsForgotten: strangers may make up names of
// namespaces, one after another.
func TestANamespaceWhereNothingWasSeenIsForgotten(t *testing.T) {
	c, err := conn.Open(conn.Config{Address: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := &driver{options: options{poll: time.Second}, c: c, views: map[string]*view{}, past: map[string]past{}, wrote: map[string]string{}}
	seen := past{slices: map[string]*held{"x": {endpointSlice: &endpointSlice{}}}}
	d.past["known"] = seen
	for _, service := range []string{"made-up/s", "known/s"} {
		err := d.Watch(t.Context(), service, func(discovery.Update) {})
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v, want unavailable", service, err)
		}
	}
	if _, known := d.past["known"]; len(d.past) != 1 || !known {
		t.Errorf("remembered: %v, want the namespace where something was seen", d.past)
	}
}
