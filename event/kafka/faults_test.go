package kafka_test

import (
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func proxied(t *testing.T) (*netfault.Proxy, event.Stream) {
	t.Helper()
	p := netfault.New(t, servertest.SharedKafka(t).Addr())
	s, err := event.New(kafka.On(through(t, p.Addr())), event.WithNamespace(servertest.Namespace(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return p, s
}

func TestIdleSubscriptionsCostLittle(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Idle(t, p, s, 60)
}

func TestNothingIsMissedOverABadLink(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Cut(t, p, s)
}
