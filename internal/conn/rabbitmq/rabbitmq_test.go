package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		Config
		want string // "" if it is refused for why
		why  string
	}{
		{Config{Address: "h"}, "amqp://guest:guest@h:5672/", ""},
		{Config{Address: "h:1"}, "amqp://guest:guest@h:1/", ""},
		{Config{Address: "h", TLS: &tls.Config{}}, "amqps://guest:guest@h:5671/", ""},
		{Config{Address: "amqp://h", TLS: &tls.Config{}}, "amqps://guest:guest@h:5672/", ""},
		{Config{Address: "amqps://h"}, "amqps://guest:guest@h:5671/", ""},
		{Config{Address: "amqp://u:p@h"}, "amqp://u:p@h:5672/", ""},
		{Config{Address: "amqp://u:p@h", Username: "me", Password: "mine"}, "amqp://me:mine@h:5672/", ""},
		{Config{Address: "amqp://u:p@h/orders"}, "amqp://u:p@h:5672/orders", ""},
		{Config{Address: "amqp://u:p@a, b:1/orders"}, "amqp://u:p@a:5672/orders amqp://u:p@b:1/orders", ""},
		{Config{Address: "a,b"}, "amqp://guest:guest@a:5672/ amqp://guest:guest@b:5672/", ""},
		{Config{Address: ""}, "", "empty"},
		{Config{Address: "a,,b"}, "", "empty"},
		{Config{Address: "http://h"}, "", "scheme"},
		{Config{Address: "amqp://u:s3cret@h?x=y"}, "", "has parameters"},
		{Config{Address: "amqp://u@h"}, "", "password"},
	} {
		conn, err := Open(c.Config)
		if c.why != "" {
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%+v: %v, want Invalid: %s", c.Config, err, c.why)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c.Config, err)
			continue
		}
		var all, hosts []string
		for _, u := range conn.uris {
			all = append(all, fmt.Sprintf("%s://%s:%s@%s:%d/%s", u.Scheme, u.Username, u.Password, u.Host, u.Port, strings.TrimPrefix(u.Vhost, "/")))
			hosts = append(hosts, fmt.Sprintf("%s:%d", u.Host, u.Port))
		}
		if got := strings.Join(all, " "); got != c.want || conn.addr != strings.Join(hosts, ",") {
			t.Errorf("%+v leads to %s, named %s, want %s", c.Config, got, conn.addr, c.want)
		}
		if err := conn.Shared().Close(); err != nil || conn.closed {
			t.Errorf("who shares it has closed it: %v", err)
		}
		if err := errors.Join(conn.Close(), conn.Close()); err != nil || !conn.closed {
			t.Errorf("Close = %v, closed %v", err, conn.closed)
		}
	}
}

func TestDefaults(t *testing.T) {
	for _, c := range []struct{ given, want Config }{
		{Config{}, Config{Timeout: 10 * time.Second, MaxMessage: 16 << 20}},
		{Config{Timeout: 2, MaxMessage: 4}, Config{Timeout: 2, MaxMessage: 4}},
	} {
		c.given.Address = "h"
		conn, err := Open(c.given)
		if err != nil {
			t.Fatal(err)
		}
		got := conn.c
		if got.Timeout != c.want.Timeout || conn.MaxMessage() != c.want.MaxMessage {
			t.Errorf("%+v became %+v", c.given, got)
		}
	}
}

func TestKindsOfErrors(t *testing.T) {
	server := func(code int, reason string) error {
		return fmt.Errorf("x: %w", &amqp.Error{Code: code, Reason: reason, Server: true})
	}
	client := func(code int) error { return fmt.Errorf("x: %w", &amqp.Error{Code: code}) }
	for _, c := range []struct{ err, read, write error }{
		{nil, nil, nil},
		{amqp.ErrSASL, fault.Denied, fault.Denied},
		{server(amqp.AccessRefused, ""), fault.Denied, fault.Denied},
		{server(amqp.NotAllowed, "vhost not found"), fault.Denied, fault.Denied},
		{server(amqp.PreconditionFailed, "message size 2 is larger than configured max size 1"), fault.TooLarge, fault.TooLarge},
		{server(amqp.PreconditionFailed, "inequivalent arg"), fault.Unavailable, fault.UnknownOutcome},
		{server(amqp.ChannelError, "larger than"), fault.Unavailable, fault.UnknownOutcome},
		{io.EOF, fault.Unavailable, fault.UnknownOutcome},
		{context.Canceled, context.Canceled, fault.UnknownOutcome},
		{context.DeadlineExceeded, context.DeadlineExceeded, fault.UnknownOutcome},
		{fault.Conflict, fault.Conflict, fault.Conflict},
	} {
		read, write := ReadError(c.err), WriteError(c.err)
		if fault.KindOf(read) != c.read || fault.KindOf(write) != c.write || !errors.Is(read, c.err) || !errors.Is(write, c.err) {
			t.Errorf("%v: a read is %v, a write %v, want %v and %v", c.err, read, write, c.read, c.write)
		}
	}
	for _, c := range []struct {
		err     error
		missing bool
	}{
		{server(amqp.NotFound, "no queue 'x'"), true}, {server(amqp.NotFound, "home node 'rabbit@a' of durable queue 'x' is down or inaccessible"), false},
		{client(amqp.NotFound), false}, {server(amqp.AccessRefused, "no queue"), false}, {io.EOF, false},
	} {
		if got := Missing(c.err); got != c.missing {
			t.Errorf("%v: missing %v, want %v", c.err, got, c.missing)
		}
	}
	for _, c := range []struct {
		err    error
		secure bool
		kind   error
		says   string
		not    string
	}{
		{amqp.ErrSASL, false, fault.Denied, "h:1 refuses", "connecting"},
		{client(amqp.FrameError), false, fault.Unavailable, "does the port expect TLS", ""},
		{client(amqp.FrameError), true, fault.Unavailable, "connecting to h:1", "expect TLS"},
		{server(amqp.FrameError, ""), false, fault.Unavailable, "connecting to h:1", "expect TLS"},
		{client(amqp.SyntaxError), false, fault.Unavailable, "connecting to h:1", "expect TLS"},
		{io.EOF, false, fault.Unavailable, "expect TLS", ""},
		{io.EOF, true, fault.Unavailable, "connecting to h:1", "expect TLS"},
	} {
		err := dialError("h:1", c.secure, c.err)
		if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || c.not != "" && strings.Contains(err.Error(), c.not) || !errors.Is(err, c.err) {
			t.Errorf("secure %v, %v: %v, want %v: %s, and not %q", c.secure, c.err, err, c.kind, c.says, c.not)
		}
	}
}
