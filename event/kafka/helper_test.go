package kafka_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/kafka"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/chaos"
	"github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"consumer": chaos.Consumer(openChild)})
	leak.Main(m)
}

// openChild is a stream of an address and a number of partitions.
func openChild(args []string) (event.Stream, error) {
	n := 1
	fmt.Sscan(args[1], &n)
	return event.New(kafka.Backend(args[0], kafka.WithPartitions(n)), event.WithNamespace(args[2]))
}

// patient are options for a machine that is busy with other things.
func patient(opts ...event.Option) []event.Option {
	return append([]event.Option{event.WithDialTimeout(time.Minute), event.WithTimeout(time.Minute)}, opts...)
}

// open opens a stream of the test on the shared broker.
func open(t testing.TB, opts ...kafka.Option) event.Stream {
	t.Helper()
	return openIn(t, servertest.Namespace(t), opts...)
}

func openIn(t testing.TB, namespace string, opts ...kafka.Option) event.Stream {
	t.Helper()
	s, err := event.New(patient(kafka.Backend(servertest.SharedKafka(t).Addr(), opts...), event.WithNamespace(namespace))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t testing.TB, s event.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// through is an engine whose connections all go to addr, whatever address the
// brokers give.
func through(t testing.TB, addr string, opts ...kgo.Opt) *engine.Engine {
	t.Helper()
	e, err := engine.Open(addr, engine.WithClientOptions(append(opts, kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}))...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// admin is a foreign client.
func admin(t testing.TB, opts ...kgo.Opt) *kadm.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(servertest.SharedKafka(t).Addr())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kadm.NewClient(c)
}

func publish(t testing.TB, s event.Stream, rs ...*event.Record) {
	t.Helper()
	if err := s.Publish(t.Context(), rs...); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

func subscribe(t testing.TB, s event.Stream, h event.Handler, opts ...event.SubscribeOption) event.Subscription {
	t.Helper()
	sub, err := s.Subscribe(t.Context(), h, opts...)
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	return sub
}

func closeSub(t testing.TB, sub event.Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := sub.Close(ctx); err != nil {
		t.Errorf("Subscription.Close: %v", err)
	}
}

func all(t testing.TB, s event.Stream, opts ...event.QueryOption) []*event.Record {
	t.Helper()
	var rs []*event.Record
	for r, err := range s.Query(t.Context(), opts...) {
		if err != nil {
			t.Fatalf("Query: %v", err)
		}
		rs = append(rs, r)
	}
	return rs
}

// got collects what handlers are given.
type got struct {
	mu sync.Mutex
	rs []*event.Record
}

func (g *got) handle(_ context.Context, r *event.Record) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rs = append(g.rs, r)
	return nil
}

func (g *got) list() []*event.Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*event.Record(nil), g.rs...)
}

func (g *got) len() int { return len(g.list()) }

func ids(rs []*event.Record) []string {
	list := []string{}
	for _, r := range rs {
		list = append(list, r.ID)
	}
	return list
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
