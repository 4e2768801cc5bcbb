// Package kafka is the one place where a connection to Kafka is made: addresses,
// TLS, credentials, clients, and what an error means.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config says how to reach Kafka. Either Address or Client is set.
type Config struct {
	// Address is "host", "host:port", a URL with the scheme kafka or kafkas, or
	// several brokers of one cluster with commas between.
	Address string

	Username, Password string
	Mechanism          string // of SASL: Plain, Scram256 or Scram512; "": Plain
	TLS                *tls.Config
	Timeout            time.Duration // of one answer; 0: 10 s
	Options            []kgo.Opt     // the user's, after ours

	Client *kgo.Client // the user's own; Close leaves it open
}

// Mechanisms of SASL.
const (
	Plain    = "PLAIN"
	Scram256 = "SCRAM-SHA-256"
	Scram512 = "SCRAM-SHA-512"
)

// Conn is the client that asks and answers, and what other clients of the same
// cluster are made of.
type Conn struct {
	*kgo.Client
	opts  []kgo.Opt
	addr  string
	close func() // nil: somebody else closes it
}

// Open makes a client, which connects when it is asked something. Only a bad
// configuration is an error.
func Open(c Config) (*Conn, error) {
	if c.Client != nil {
		return &Conn{Client: c.Client, opts: connecting(c.Client), addr: "the client given"}, nil
	}
	opts, addr, err := options(c)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	return &Conn{Client: client, opts: opts, addr: addr, close: sync.OnceFunc(client.Close)}, nil
}

// dialTimeout bounds one attempt to connect to one broker, so that another is
// tried while a call has time left.
const dialTimeout = 2 * time.Second

// options returns what all clients have in common, and the brokers' addresses
// for people.
func options(c Config) ([]kgo.Opt, string, error) {
	var hosts []string
	secure := c.TLS != nil
	for i, part := range strings.Split(c.Address, ",") {
		a, err := conn.Parse(strings.TrimSpace(part), conn.Scheme{Name: "kafka", Port: 9092}, conn.Scheme{Name: "kafkas", Port: 9093})
		if err != nil {
			return nil, "", fault.Mark(fault.Invalid, err)
		}
		if a.Path != "" || len(a.Query) > 0 {
			return nil, "", fault.Markf(fault.Invalid, "address %q has a path or parameters, want none", conn.Redact(part))
		}
		if err := a.CheckAuth(); err != nil {
			return nil, "", fault.Markf(fault.Invalid, "address %q: %w", conn.Redact(part), err)
		}
		if c.Username == "" && i == 0 {
			c.Username, c.Password = a.User, a.Password
		}
		secure = secure || a.Scheme == "kafkas"
		hosts = append(hosts, a.HostPort())
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(hosts...), kgo.ClientID("go-platform"),
		kgo.DialTimeout(dialTimeout), kgo.RequestTimeoutOverhead(c.Timeout),
		kgo.RetryTimeout(c.Timeout), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RetryBackoffFn(func(n int) time.Duration { return min(time.Duration(n)*20*time.Millisecond, time.Second) }),
	}
	if secure {
		if c.TLS == nil {
			c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.Username != "" {
		opts = append(opts, kgo.SASL(c.mechanism()))
	}
	return append(opts, c.Options...), strings.Join(hosts, ","), nil
}

func (c Config) mechanism() sasl.Mechanism {
	auth := scram.Auth{User: c.Username, Pass: c.Password}
	switch c.Mechanism {
	case Scram256:
		return auth.AsSha256Mechanism()
	case Scram512:
		return auth.AsSha512Mechanism()
	}
	return plain.Auth{User: c.Username, Pass: c.Password}.AsMechanism()
}

// Shared returns the connection for somebody whose Close leaves it open.
func (c *Conn) Shared() *Conn {
	return &Conn{Client: c.Client, opts: c.opts, addr: c.addr}
}

// More makes another client of the same cluster, which the caller closes: a
// producer whose limits are those of one topic, a member of a group.
func (c *Conn) More(opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(slices.Concat(c.opts, opts)...)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	return client, nil
}

// Close closes the client unless the user brought it or it is shared.
func (c *Conn) Close() error {
	if c.close != nil {
		c.close()
	}
	return nil
}

// Ping asks a broker for an answer, with credentials if there are any. Its error
// names the address, and is Denied if the broker refuses the user, else
// Unavailable.
func (c *Conn) Ping(ctx context.Context) error {
	err := ReadError(c.Client.Ping(ctx))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fault.Denied):
		return fault.Markf(fault.Denied, "%s refuses: %w", c.addr, err)
	}
	return fault.Markf(fault.Unavailable, "no answer from %s: %w", c.addr, hint(err))
}

// hint says what else a connection that ends at once may mean.
func hint(err error) error {
	_, early := errors.AsType[*kgo.ErrFirstReadEOF](err)
	if early {
		return fmt.Errorf("the broker hung up: does it expect TLS or a user? %w", err)
	}
	return err
}
