package nats_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/event"
	eventnats "github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvnats "github.com/micro/go-platform/kv/nats"
	gonats "github.com/nats-io/nats.go"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Two packages share one connection, by its name at the server; on one that was
// closed nothing hangs.
func TestTwoPackagesShareOneConnection(t *testing.T) {
	leak.Check(t)
	named := make(chan string, 10)
	e, err := nats.Open(servertest.SharedNATS(t).Addr(), nats.WithClientOptions(gonats.ConnectHandler(func(c *gonats.Conn) { named <- c.Opts.Name }), gonats.Name("orders")))
	if err != nil {
		t.Fatal(err)
	}
	store, err := kv.New(kvnats.On(e, kvnats.WithBucket("engine")))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	stream, err := event.New(eventnats.On(e), event.WithNamespace(servertest.Namespace(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.Background())
	if _, err := store.Put(t.Context(), "k", nil); err != nil {
		t.Fatal(err)
	}
	if err := stream.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
		t.Fatal(err)
	}
	if name := <-named; name != "orders" || len(named) > 0 {
		t.Errorf("the first connection is called %q, and %d more were made", name, len(named))
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stream.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
		t.Errorf("after the store is closed: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stream.Publish(t.Context(), &event.Record{Type: "t"}); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("Publish on a closed engine: %v, want ErrUnavailable", err)
	}
	if err := e.Ping(t.Context()); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "was closed") {
		t.Errorf("Ping of a closed engine: %v, want ErrUnavailable", err)
	}
}

// What was never used is closed too, and connects no more.
func TestClosedBeforeItIsUsed(t *testing.T) {
	e, err := nats.Open("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	if c, err := e.Client(); !errors.Is(err, engine.ErrUnavailable) || c != nil {
		t.Errorf("Client of a closed engine: %v, %v, want ErrUnavailable", c, err)
	}
}

func TestBadInputIsAnErrorOfOpen(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opts []nats.Option
	}{
		"empty address": {"", nil}, "scheme": {"http://u:s3cret@h", nil}, "path": {"nats://u:s3cret@h/x", nil}, "nil option": {"h", []nats.Option{nil}},
		"TLS": {"h", []nats.Option{nats.WithTLS(nil)}}, "user alone": {"h", []nats.Option{nats.WithAuth("u", "")}}, "token": {"h", []nats.Option{nats.WithToken("")}},
		"option of the client": {"h", []nats.Option{nats.WithClientOptions(nil)}},
	} {
		e, err := nats.Open(c.addr, c.opts...)
		if !errors.Is(err, engine.ErrInvalid) || !strings.HasPrefix(err.Error(), "engine/nats: open: ") || strings.Contains(err.Error(), "s3cret") || e != nil {
			t.Errorf("%s: %v, %v, want ErrInvalid of engine/nats without the password", name, e, err)
		}
	}
}
