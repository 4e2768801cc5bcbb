package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/micro/go-platform/internal/fault"
	"github.com/redis/go-redis/v9"
)

func TestAddresses(t *testing.T) {
	for addr, want := range map[string]struct {
		first, user, password, master string
		n, db                         int
		cluster, tls                  bool
	}{
		"h":                               {first: "h:6379", n: 1},
		"redis://u:p@h:1/2":               {first: "h:1", user: "u", password: "p", n: 1, db: 2},
		"rediss://:p@h":                   {first: "h:6379", password: "p", n: 1, tls: true},
		"a:1,b:2,c":                       {first: "a:1", n: 3, cluster: true},
		"redis://u:p@a:1,b:2":             {first: "a:1", user: "u", password: "p", n: 2, cluster: true},
		"redis+cluster://h":               {first: "h:6379", n: 1, cluster: true},
		"rediss+sentinel://a,b:1/primary": {first: "a:26379", n: 2, master: "primary", tls: true},
	} {
		o, err := Config{Address: addr}.options()
		if err != nil {
			t.Errorf("%q: %v", addr, err)
			continue
		}
		if o.Addrs[0] != want.first || len(o.Addrs) != want.n || o.Username != want.user || o.Password != want.password ||
			o.DB != want.db || o.MasterName != want.master || o.IsClusterMode != want.cluster || (o.TLSConfig != nil) != want.tls {
			t.Errorf("%q gave %+v", addr, o)
		}
	}
}

func TestErrorKinds(t *testing.T) {
	answer := func(s string) error { return redisError(s) }
	for _, c := range []struct {
		name        string
		err         error
		read, write error
	}{
		{"no connection", &net.OpError{Op: "dial", Err: io.EOF}, fault.Unavailable, fault.Unavailable},
		{"lost", io.EOF, fault.Unavailable, fault.UnknownOutcome},
		{"deadline", context.DeadlineExceeded, context.DeadlineExceeded, fault.UnknownOutcome},
		{"read-only", answer("READONLY You can't"), fault.Unavailable, fault.Unavailable},
		{"loading", answer("LOADING Redis"), fault.Unavailable, fault.Unavailable},
		{"wrong type", answer("WRONGTYPE Operation"), fault.Invalid, fault.Invalid},
		{"full pool", redis.ErrPoolTimeout, fault.Unavailable, fault.Unavailable},
	} {
		if err := ReadError(c.err); !errors.Is(err, c.read) {
			t.Errorf("%s: a read is %v, want %v", c.name, err, c.read)
		}
		if err := WriteError(c.err); !errors.Is(err, c.write) || !errors.Is(err, c.err) {
			t.Errorf("%s: a write is %v, want %v", c.name, err, c.write)
		}
	}
	if ReadError(nil) != nil || WriteError(nil) != nil {
		t.Error("no error became one")
	}
}

type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}
