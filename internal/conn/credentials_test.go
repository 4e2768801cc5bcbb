package conn_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/elastic"
	"github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/log/fluentd"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
)

// credentials are those of an option: of one for a secret alone, user is unused.
type credentials struct {
	given          bool
	user, password string
}

// rest is the option, if it is given.
func rest[O any](c credentials, option func(user, password string) O) []O {
	if !c.given {
		return nil
	}
	return []O{option(c.user, c.password)}
}

func token[O any](option func(string) O) func(string, string) O {
	return func(_, token string) O { return option(token) }
}

// known are the backends that show a server credentials. alone: a password or
// token is enough.
type shown struct {
	name, scheme string
	alone, noURL bool
	named        bool // a user alone in an address is a token
	open         func(addr string, c credentials) error
}

var known = slices.Concat(
	credited(shown{scheme: "redis://", alone: true}, onRedis, func(a string, c credentials) (*redis.Engine, error) {
		return redis.Open(a, rest(c, redis.WithAuth)...)
	}),
	credited(shown{scheme: "etcd://"}, onEtcd, func(a string, c credentials) (*etcd.Engine, error) {
		return etcd.Open(a, rest(c, etcd.WithAuth)...)
	}),
	credited(shown{scheme: "nats://", named: true}, onNATS, func(a string, c credentials) (*nats.Engine, error) {
		return nats.Open(a, rest(c, nats.WithAuth)...)
	}),
	credited(shown{name: ", token", scheme: "nats://", alone: true, noURL: true}, onNATS, func(a string, c credentials) (*nats.Engine, error) {
		return nats.Open(a, rest(c, token(nats.WithToken))...)
	}),
	credited(shown{scheme: "consul://", alone: true}, onConsul, func(a string, c credentials) (*consul.Engine, error) {
		return consul.Open(a, rest(c, token(consul.WithToken))...)
	}),
	others,
)

var others = []shown{
	{"db/cassandra", "cassandra://", false, false, false, func(a string, c credentials) error {
		return closed(db.New(cassandra.Backend(a+"/k", rest(c, cassandra.WithAuth)...), db.WithLazy()))
	}},
	{"db/elastic", "http://", false, false, false, func(a string, c credentials) error {
		return closed(db.New(elastic.Backend(a, rest(c, elastic.WithAuth)...), db.WithLazy()))
	}},
	{"metrics/prometheus", "http://", false, false, false, func(a string, c credentials) error {
		return flushed(metrics.New(prometheus.Backend(a, "job", rest(c, prometheus.WithAuth)...)))
	}},
	{"log/fluentd", "tcp://", false, true, false, func(a string, c credentials) error {
		return logged(fluentd.Backend(a, "tag", rest(c, fluentd.WithUser)...))
	}},
}

// A credential that is half there, or empty, is an error of every backend, and
// not a connection without credentials.
func TestHalfCredentialsAreRefused(t *testing.T) {
	const nobody = "127.0.0.1:1"
	for _, b := range known {
		for _, c := range []struct {
			name     string
			userinfo string // of the address
			option   credentials
			ok       bool
		}{
			{"none", "", credentials{}, true},
			{"both", "", credentials{true, "bob", secret}, true},
			{"a user alone", "", credentials{true, "bob", ""}, false},
			{"a password alone", "", credentials{true, "", secret}, b.alone},
			{"empty ones", "", credentials{true, "", ""}, false},
			{"both in the address", "bob:" + secret + "@", credentials{}, true},
			{"a user alone in the address", "bob@", credentials{}, b.named},
			{"a user and a colon in the address", "bob:@", credentials{}, b.named},
			{"a password alone in the address", ":" + secret + "@", credentials{}, b.alone},
			{"empty ones in the address", "@", credentials{}, false},
			{"a colon alone in the address", ":@", credentials{}, false},
		} {
			if b.noURL && c.userinfo != "" {
				continue
			}
			err := b.open(b.scheme+c.userinfo+nobody, c.option)
			if refused := errors.Is(err, fault.Invalid); refused == c.ok {
				t.Errorf("%s, %s: %v, want ErrInvalid: %t", b.name, c.name, err, !c.ok)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s, %s: the error has the password: %v", b.name, c.name, err)
			}
		}
	}
}
