package kafka_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestOptionsAtTheirLimits(t *testing.T) {
	for _, c := range []struct {
		opt kafka.Option
		why string // "" if it is well
	}{
		{kafka.WithTimeout(100*time.Millisecond - 1), "timeout 99.999999ms"}, {kafka.WithTimeout(100 * time.Millisecond), ""},
		{kafka.WithClientOptions(nil), "nil"}, {kafka.WithClientOptions(kgo.ClientID("x"), nil), "nil"}, {kafka.WithClientOptions(kgo.ClientID("x")), ""}, {kafka.WithClientOptions(), ""},
		{kafka.WithTLS(nil), "TLS"}, {kafka.WithTLS(&tls.Config{}), ""},
		{kafka.WithAuth("", "p"), "user"}, {kafka.WithAuth("u", "p"), ""}, {kafka.WithSCRAM256("u", "p"), ""}, {kafka.WithSCRAM512("u", ""), "password"},
	} {
		e, err := kafka.Open("127.0.0.1:1", c.opt)
		if c.why == "" {
			if err != nil || errors.Join(e.Close(), e.Close()) != nil {
				t.Errorf("%v, want it to be well", err)
			}
		} else if !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v, want ErrInvalid: %s", err, c.why)
		}
	}
	none := kafka.FromClient(nil)
	if err := none.Ping(t.Context()); !errors.Is(err, engine.ErrInvalid) || none.Client() != nil || none.Close() != nil {
		t.Errorf("an engine without a client: %v", err)
	}
}

func TestPingOfNobody(t *testing.T) {
	e, err := kafka.Open("127.0.0.1:1", kafka.WithTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Ping(t.Context()); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v, want ErrUnavailable with the address", err)
	}
}
