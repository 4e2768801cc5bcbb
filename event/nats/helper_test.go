package nats_test

import (
	"context"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/servertest"
	gonats "github.com/nats-io/nats.go"
)

func handler(f func(r *event.Record) error) event.Handler {
	return func(_ context.Context, r *event.Record) error { return f(r) }
}

func subscribe(t *testing.T, s event.Stream, f func(r *event.Record) error, opts ...event.SubscribeOption) error {
	_, err := s.Subscribe(t.Context(), handler(f), opts...)
	return err
}

// patient are options for a machine that is busy with other things.
func patient(opts ...event.Option) []event.Option {
	return append([]event.Option{event.WithDialTimeout(time.Minute), event.WithTimeout(time.Minute)}, opts...)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// counted returns a stream, and the connection that it has alone, which counts what
// goes over it.
func counted(t *testing.T) (*gonats.Conn, event.Stream) {
	t.Helper()
	nc, err := gonats.Connect(servertest.SharedNATS(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s, err := event.New(patient(nats.On(engine.FromClient(nc)), event.WithNamespace(servertest.Namespace(t)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })
	return nc, s
}
