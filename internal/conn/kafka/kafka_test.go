package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestKindsOfErrors(t *testing.T) {
	plain := errors.New("plain")
	for _, c := range []struct{ err, read, write error }{
		{nil, nil, nil},
		{kerr.TopicAuthorizationFailed, fault.Denied, fault.Denied}, {kerr.SaslAuthenticationFailed, fault.Denied, fault.Denied}, {kerr.IllegalSaslState, fault.Denied, fault.Denied},
		{kerr.MessageTooLarge, fault.TooLarge, fault.TooLarge}, {kerr.RecordListTooLarge, fault.TooLarge, fault.TooLarge},
		{kgo.ErrClientClosed, fault.Unavailable, fault.Unavailable},
		{kerr.RequestTimedOut, fault.Unavailable, fault.UnknownOutcome}, {kerr.NotEnoughReplicasAfterAppend, fault.Unavailable, fault.UnknownOutcome},
		{kerr.NotEnoughReplicas, fault.Unavailable, fault.Unavailable}, {kerr.CoordinatorNotAvailable, fault.Unavailable, fault.Unavailable},
		{kerr.InvalidRequest, nil, nil}, {kerr.TopicAlreadyExists, nil, nil},
		{&net.OpError{Op: "dial", Err: io.EOF}, fault.Unavailable, fault.Unavailable}, {&net.OpError{Op: "read", Err: io.EOF}, fault.Unavailable, fault.UnknownOutcome},
		{plain, fault.Unavailable, fault.UnknownOutcome},
		{context.Canceled, context.Canceled, fault.UnknownOutcome}, {context.DeadlineExceeded, context.DeadlineExceeded, fault.UnknownOutcome},
		{fault.Conflict, fault.Conflict, fault.Conflict}, {fault.Invalid, fault.Invalid, fault.Invalid},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("x: %w", err)
		}
		read, write := ReadError(err), WriteError(err)
		if fault.KindOf(read) != c.read || fault.KindOf(write) != c.write || !errors.Is(read, c.err) || !errors.Is(write, c.err) {
			t.Errorf("%v: a read is %v, a write %v, want %v and %v", c.err, read, write, c.read, c.write)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		Config
		at, user, mechanism string
		secure              bool
		why                 string
	}{
		{Config: Config{Address: "h"}, at: "h:9092"},
		{Config: Config{Address: "h", TLS: &tls.Config{}}, at: "h:9092", secure: true},
		{Config: Config{Address: "kafkas://h"}, at: "h:9093", secure: true},
		{Config: Config{Address: "kafka://a:1, b"}, at: "a:1,b:9092"},
		{Config: Config{Address: "a,kafkas://b"}, at: "a:9092,b:9093", secure: true},
		{Config: Config{Address: "kafka://u:p@h"}, at: "h:9092", mechanism: "PLAIN"},
		{Config: Config{Address: "kafka://u:p@h", Mechanism: Scram256}, at: "h:9092", mechanism: "SCRAM-SHA-256"},
		{Config: Config{Address: "h", Username: "u", Password: "p", Mechanism: Scram512}, at: "h:9092", mechanism: "SCRAM-SHA-512"},
		{Config: Config{Address: ""}, why: "empty"},
		{Config: Config{Address: "a,"}, why: "empty"},
		{Config: Config{Address: "http://h"}, why: "scheme"},
		{Config: Config{Address: "kafka://h/topic"}, why: "path or parameters"},
		{Config: Config{Address: "kafka://h?x=y"}, why: "path or parameters"},
		{Config: Config{Address: "kafka://u@h"}, why: "password"},
		{Config: Config{Address: "h", Options: []kgo.Opt{kgo.MaxBufferedRecords(-1)}}, why: "buffered"},
	} {
		conn, err := Open(c.Config)
		if c.why != "" {
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%+v: %v, want Invalid: %s", c.Config, err, c.why)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c.Config, err)
			continue
		}
		mechanism := ""
		if list := conn.OptValue(kgo.SASL).([]sasl.Mechanism); len(list) > 0 {
			mechanism = list[0].Name()
		}
		secure := conn.OptValue(kgo.DialTLSConfig).(*tls.Config) != nil
		if conn.addr != c.at || secure != c.secure || mechanism != c.mechanism {
			t.Errorf("%+v: at %s, TLS %v, %q; want %s, %v, %q", c.Config, conn.addr, secure, mechanism, c.at, c.secure, c.mechanism)
		}
		if got := conn.OptValue(kgo.SeedBrokers).([]string); !reflect.DeepEqual(got, strings.Split(c.at, ",")) {
			t.Errorf("%+v: brokers %v", c.Config, got)
		}
		shared := conn.Shared()
		if err := shared.Close(); err != nil || conn.Context().Err() != nil {
			t.Errorf("who shares it has closed it: %v", err)
		}
		if err := errors.Join(conn.Close(), conn.Close()); err != nil || conn.Context().Err() == nil {
			t.Errorf("Close = %v, want it closed", err)
		}
	}
}

// What else is connected beside a client of the user's is reached in the same way.
func TestMoreClientsAreLikeTheUsers(t *testing.T) {
	dialed := make(chan string, 100)
	refuse := func(_ context.Context, _, host string) (net.Conn, error) {
		select {
		case dialed <- host:
		default:
		}
		return nil, errors.New("refused")
	}
	hook, log := &hooked{connects: make(chan string, 100)}, kgo.BasicLogger(io.Discard, kgo.LogLevelError, nil)
	user, err := kgo.NewClient(kgo.SeedBrokers("h:1"), kgo.ClientID("theirs"), kgo.Dialer(refuse), kgo.SASL(Config{Username: "u"}.mechanism()), kgo.WithHooks(hook), kgo.WithLogger(log))
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	conn, err := Open(Config{Client: user})
	if err != nil {
		t.Fatal(err)
	}
	more, err := conn.More(kgo.RetryTimeout(time.Millisecond), kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	if id := more.OptValue(kgo.ClientID); id != "theirs" || len(more.OptValue(kgo.SASL).([]sasl.Mechanism)) != 1 {
		t.Errorf("another client is %v", id)
	}
	if err := more.Ping(t.Context()); err == nil || <-dialed != "h:1" {
		t.Errorf("another client goes elsewhere: %v", err)
	}
	if host := <-hook.connects; host != "h" || more.OptValue(kgo.WithLogger) != log {
		t.Errorf("another client tells others: %s, %v", host, more.OptValue(kgo.WithLogger))
	}
	if err := conn.Close(); err != nil || user.Context().Err() != nil {
		t.Errorf("Close has closed the user's: %v", err)
	}
	if _, err := conn.More(kgo.MaxBufferedRecords(-1)); !errors.Is(err, fault.Invalid) {
		t.Errorf("a bad option: %v", err)
	}
	if err := conn.Ping(t.Context()); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the client given") {
		t.Errorf("Ping = %v", err)
	}
}

// hooked is notified of connections.
type hooked struct{ connects chan string }

func (h *hooked) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, _ error) {
	select {
	case h.connects <- meta.Host:
	default:
	}
}

func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		Config
		dial, retry time.Duration
	}{
		{Config{}, 2 * time.Second, 10 * time.Second}, {Config{Timeout: 2 * time.Minute}, 2 * time.Second, 2 * time.Minute},
		{Config{Options: []kgo.Opt{kgo.DialTimeout(time.Minute)}}, time.Minute, 10 * time.Second},
	} {
		c.Address = "h"
		conn, err := Open(c.Config)
		if err != nil {
			t.Fatal(err)
		}
		if dial, retry := conn.OptValue(kgo.DialTimeout), conn.OptValue(kgo.RequestTimeoutOverhead); dial != c.dial || retry != c.retry {
			t.Errorf("%+v: %v and %v, want %v and %v", c.Config, dial, retry, c.dial, c.retry)
		}
		conn.Close()
	}
}

// A broker that hangs up before it has said anything may want something else.
func TestHints(t *testing.T) {
	early := error(&kgo.ErrFirstReadEOF{})
	if err := hint(early); !errors.Is(err, early) || !strings.Contains(err.Error(), "expect TLS or a user") {
		t.Errorf("%v became %v", early, err)
	}
	if err := hint(io.EOF); err != io.EOF {
		t.Errorf("EOF became %v", err)
	}
}
