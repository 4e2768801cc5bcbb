package rabbitmq_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/rabbitmq"
	"github.com/micro/go-platform/event"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	"github.com/micro/go-platform/internal/leak"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestBadInputIsAnErrorOfOpen(t *testing.T) {
	for _, c := range []struct {
		addr string
		opt  rabbitmq.Option
		why  string // "" if it is well
	}{
		{"h", rabbitmq.WithAuth("u", "p"), ""},
		{"", rabbitmq.WithAuth("u", "p"), "empty"},
		{"redis://u:s3cret@h", rabbitmq.WithAuth("u", "p"), "scheme"},
		{"amqp://u:s3cret@h?x=y", rabbitmq.WithAuth("u", "p"), "parameters"},
		{"h", nil, "nil"},
		{"h", rabbitmq.WithAuth("", "s3cret"), "user"},
		{"h", rabbitmq.WithTLS(nil), "TLS"},
		{"h", rabbitmq.WithTLS(&tls.Config{}), ""},
		{"h", rabbitmq.WithTimeout(100*time.Millisecond - 1), "timeout 99.999999ms"},
		{"h", rabbitmq.WithTimeout(100 * time.Millisecond), ""},
		{"h", rabbitmq.WithMaxMessageSize(0), "bytes of a message 0"},
		{"h", rabbitmq.WithMaxMessageSize(1), ""},
		{"h", rabbitmq.WithClientOptions(nil), "nil function"},
		{"h", rabbitmq.WithClientOptions(func(*amqp.Config) {}), ""},
	} {
		e, err := rabbitmq.Open(c.addr, c.opt)
		if c.why == "" {
			if err != nil || errors.Join(e.Close(), e.Close()) != nil {
				t.Errorf("%s: %v", c.addr, err)
			}
			continue
		}
		if !errors.Is(err, engine.ErrInvalid) || !strings.HasPrefix(err.Error(), "engine/rabbitmq: open: ") || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "s3cret") || e != nil {
			t.Errorf("%s: %v, %v, want ErrInvalid of engine/rabbitmq: %s", c.addr, e, err, c.why)
		}
	}
	_, err := event.New(eventrabbitmq.On(nil))
	if !errors.Is(err, event.ErrInvalid) || !strings.HasSuffix(err.Error(), "nil engine") {
		t.Errorf("on a nil engine: %v, want ErrInvalid", err)
	}
}

// Ping says where nobody answers.
func TestPingOfNobody(t *testing.T) {
	e, err := rabbitmq.Open("amqp://u:s3cret@127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	err = e.Ping(t.Context())
	if !errors.Is(err, engine.ErrUnavailable) || !strings.HasPrefix(err.Error(), "engine/rabbitmq: ping: ") || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v, want ErrUnavailable that names the address", err)
	}
}
