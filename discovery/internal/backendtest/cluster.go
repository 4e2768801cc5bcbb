package backendtest

import (
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// DeadFirst checks that an address where nobody listens, and one where nobody
// answers, cost nothing if there is another; list writes them as the backend
// wants them.
func (b Backend) DeadFirst(t *testing.T, addr string) {
	silent := netfault.New(t, addr)
	silent.Hold(netfault.Both)
	for what, first := range map[string]string{"dead": "127.0.0.1:1", "silent": silent.Addr()} {
		t.Run(what, func(t *testing.T) {
			began := time.Now()
			d := b.open(t, first+","+addr, name())
			if _, err := d.Register(t.Context(), in("a")); err != nil {
				t.Fatal(err)
			}
			Await(t, d, "a", Patience, live("a"))
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
		})
	}
}

// LeaderLoss checks that the death of a cluster's leader costs no reader and
// no registration anything but time.
func (b Backend) LeaderLoss(t *testing.T, addrs string, leader func() *servertest.Server) {
	namespace := name()
	writer, reader := b.open(t, addrs, namespace), b.open(t, addrs, namespace)
	r, err := writer.Register(t.Context(), in("a"))
	if err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "a", Patience, live("a"))
	leader().Kill()
	began := time.Now()
	for {
		_, err = writer.Register(t.Context(), in("b"))
		if err == nil {
			break
		}
		if time.Since(began) > Patience {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Logf("writes again after %v", time.Since(began).Round(time.Millisecond))
	Await(t, reader, "both", Patience, live("a b"))
	b.confirmed(t, r)
}
