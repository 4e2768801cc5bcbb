package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/kafka"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestBadInputIsAnErrorOfOpen(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opts []kafka.Option
	}{
		"empty": {"", nil}, "scheme": {"http://h", nil}, "path": {"kafka://h/x", nil}, "parameters": {"kafka://h?x=1", nil},
		"user alone": {"kafka://bob@h", nil}, "password alone": {"kafka://:s3cret@h", nil}, "empty broker": {"a:9092,,b:9092", nil},
		"nil option": {"h", []kafka.Option{nil}}, "nil TLS": {"h", []kafka.Option{kafka.WithTLS(nil)}}, "half a credential": {"h", []kafka.Option{kafka.WithAuth("bob", "")}},
		"half of SCRAM": {"h", []kafka.Option{kafka.WithSCRAM256("", "s3cret")}},
		"timeout":       {"h", []kafka.Option{kafka.WithTimeout(99 * time.Millisecond)}}, "nil client option": {"h", []kafka.Option{kafka.WithClientOptions(nil)}},
		"client option": {"h", []kafka.Option{kafka.WithClientOptions(kgo.MaxBufferedRecords(-1))}},
	} {
		e, err := kafka.Open(c.addr, c.opts...)
		if !errors.Is(err, engine.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want ErrInvalid without the password", name, err)
		}
		if err == nil {
			e.Close()
		}
	}
	for name, e := range map[string]*kafka.Engine{"nil engine": nil, "nil client": kafka.FromClient(nil)} {
		if _, err := event.New(eventkafka.On(e)); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

// Each way to say who one is gets in with the right password, and is ErrDenied with
// a wrong one.
func TestCredentials(t *testing.T) {
	leak.Check(t)
	certs := servertest.NewCerts(t)
	plain := servertest.SharedKafka(t)
	secret := servertest.Kafka(t, servertest.WithSASL(), servertest.WithTLS(certs))
	secure := kafka.WithTLS(certs.Client)
	address := func(user, password string) string { return "kafkas://" + user + ":" + password + "@" + secret.Addr() }
	const admin, password = servertest.KafkaAdmin, servertest.KafkaPassword
	for name, c := range map[string]struct {
		addr string
		opts []kafka.Option
		ping error
		want error
	}{
		"nothing where nothing is asked for": {plain.Addr(), nil, nil, nil},
		"address":                            {address(admin, "pass%20word%401"), []kafka.Option{secure}, nil, nil},
		"address, wrong":                     {address(admin, "wr0ng"), []kafka.Option{secure}, engine.ErrDenied, event.ErrDenied},
		"PLAIN":                              {secret.Addr(), []kafka.Option{secure, kafka.WithAuth(admin, password)}, nil, nil},
		"PLAIN, wrong":                       {secret.Addr(), []kafka.Option{secure, kafka.WithAuth(admin, "wr0ng")}, engine.ErrDenied, event.ErrDenied},
		"SCRAM-SHA-256":                      {secret.Addr(), []kafka.Option{secure, kafka.WithSCRAM256(admin, password)}, nil, nil},
		"SCRAM-SHA-256, wrong":               {secret.Addr(), []kafka.Option{secure, kafka.WithSCRAM256(admin, "wr0ng")}, engine.ErrDenied, event.ErrDenied},
		"SCRAM-SHA-512":                      {secret.Addr(), []kafka.Option{secure, kafka.WithSCRAM512(admin, password)}, nil, nil},
		"SCRAM-SHA-512, wrong":               {secret.Addr(), []kafka.Option{secure, kafka.WithSCRAM512(admin, "wr0ng")}, engine.ErrDenied, event.ErrDenied},
		"options over the address":           {address("eve", "wr0ng"), []kafka.Option{secure, kafka.WithAuth(admin, password)}, nil, nil},
		"nobody":                             {secret.Addr(), []kafka.Option{secure}, engine.ErrUnavailable, event.ErrUnavailable},
		"without TLS":                        {secret.Addr(), []kafka.Option{kafka.WithAuth(admin, password)}, engine.ErrUnavailable, event.ErrUnavailable},
		"another authority":                  {secret.Addr(), []kafka.Option{kafka.WithTLS(&tls.Config{MinVersion: tls.VersionTLS12})}, engine.ErrUnavailable, event.ErrUnavailable},
		"nobody there":                       {"127.0.0.1:1", nil, engine.ErrUnavailable, event.ErrUnavailable},
	} {
		if errors.Is(c.ping, engine.ErrUnavailable) { // it is asked until then
			c.opts = append(c.opts, kafka.WithTimeout(3*time.Second))
		}
		e, err := kafka.Open(c.addr, c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err = e.Ping(ctx)
		if c.ping == nil && err != nil || c.ping != nil && !errors.Is(err, c.ping) {
			t.Errorf("%s: Ping = %v, want %v", name, err, c.ping)
		}
		s, err := event.New(eventkafka.On(e), event.WithNamespace("credentials"), event.WithDialTimeout(time.Minute))
		if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: New = %v, want %v", name, err, c.want)
		}
		for _, hidden := range []string{"wr0ng", password, "pass%20word"} {
			if err != nil && strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: the error has the password: %v", name, err)
			}
		}
		if err != nil && !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: the error does not name the address: %v", name, err)
		}
		if err == nil {
			publishes(t, s)
			s.Close(ctx)
		}
		e.Close()
		cancel()
	}
}

func publishes(t *testing.T, s event.Stream) {
	t.Helper()
	id := event.NewID()
	if err := s.Publish(t.Context(), &event.Record{ID: id, Type: "t"}); err != nil {
		t.Error(err)
		return
	}
	for r, err := range s.Query(t.Context(), event.ID(id)) {
		if err != nil || r.ID != id {
			t.Errorf("queried %v, %v", r, err)
		}
		return
	}
	t.Error("what was published is not there")
}

// Streams share an engine, and leave it open; the engine leaves a client of the
// program's own open.
func TestWhoClosesWhat(t *testing.T) {
	leak.Check(t)
	addr := servertest.SharedKafka(t).Addr()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID("the program's"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	opened, err := kafka.Open(addr)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*kafka.Engine{"opened": opened, "given": kafka.FromClient(client)} {
		for range 2 {
			// The first group of a broker on a busy machine takes more than the default 10 s.
			s, err := event.New(eventkafka.On(e), event.WithNamespace(servertest.Namespace(t)), event.WithTimeout(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			publishes(t, s)
			sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g"))
			if err != nil {
				t.Fatal(err)
			}
			sub.Close(t.Context())
			s.Close(t.Context())
			if err := e.Ping(t.Context()); err != nil {
				t.Errorf("%s: after Close of a stream: %v", name, err)
			}
		}
		if e.Client() == nil || e.Close() != nil || e.Close() != nil {
			t.Errorf("%s: Close fails", name)
		}
	}
	if err := client.Ping(t.Context()); err != nil {
		t.Errorf("the program's client after Close of the engine: %v", err)
	}
	if err := opened.Ping(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Ping of a closed engine: %v, want ErrUnavailable", err)
	}
	if _, err := event.New(eventkafka.On(opened)); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("New on a closed engine: %v, want ErrUnavailable", err)
	}
}
