package ring

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
)

// A dialer of the user's own that panics or returns nothing is one that does not
// connect: when it does again, the members meet.
func TestDialersOfTheUsersOwn(t *testing.T) {
	var none *net.TCPConn
	for name, bad := range map[string]func() (net.Conn, error){
		"an error":      func() (net.Conn, error) { return nil, errors.New("boom") },
		"panics":        func() (net.Conn, error) { panic("boom") },
		"nothing":       func() (net.Conn, error) { return nil, nil },
		"a nil pointer": func() (net.Conn, error) { return none, nil },
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int64
			dial := WithDial(func(ctx context.Context, network, address string) (net.Conn, error) {
				if tries.Add(1) <= 4 {
					return bad()
				}
				return (&net.Dialer{}).DialContext(ctx, network, address)
			})
			c := newCluster(t)
			c.join("a", dial)
			c.join("b", dial)
			c.settle()
			c.nodes["a"].put(t, "k", "v")
			if item, err := c.nodes["b"].KV.Get(t.Context(), "k"); err != nil || string(item.Value) != "v" {
				t.Errorf("got %q, %v", item.Value, err)
			}
			if n := tries.Load(); n <= 4 {
				t.Errorf("%d tries, want more than the bad ones", n)
			}
		})
	}
}
