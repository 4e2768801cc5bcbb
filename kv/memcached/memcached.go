package memcached

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
)

// Option configures the backend.
type Option func(*config) error

type config struct {
	memcached.Config
	client *memcache.Client
	alone  bool
}

// Backend stores in the memcached at addr: "host:port", several as
// "a:11211,b:11211", or a URL with the scheme memcached or memcacheds (TLS).
func Backend(addr string, opts ...Option) kv.Option {
	return open(config{Config: memcached.Config{Address: addr}}, opts)
}

// WithClient stores through a client that the caller already has, and closes
// itself. Its own selector says which server has a key, and its Timeout bounds
// a call; writes do not share round trips.
func WithClient(client *memcache.Client, opts ...Option) kv.Option {
	return open(config{client: client}, opts)
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithTimeout bounds one round trip. The default is 3 s.
func WithTimeout(d time.Duration) Option {
	return func(c *config) error { return fronts.Positive("timeout", d, &c.Timeout) }
}

func open(c config, opts []Option) kv.Option {
	return kv.WithDriver("memcached", func(context.Context) (kv.Driver, error) {
		c, err := conn.Apply(c, opts) // a copy: one option may open several stores, also at once
		if err != nil {
			return nil, err
		}
		d := &driver{alone: c.alone}
		d.life, d.end = context.WithCancel(context.Background())
		if c.client != nil {
			d.given = c.client
			d.lines = []*line{d.newLine(given{c.client})}
			d.pick = func(string) *line { return d.lines[0] }
			return d, nil
		}
		client, err := memcached.Open(c.Config)
		if err != nil {
			return nil, err
		}
		d.client = client
		byServer := map[*memcached.Server]*line{}
		for _, s := range client.Servers {
			l := d.newLine(s)
			d.lines, byServer[s] = append(d.lines, l), l
		}
		d.pick = func(key string) *line { return byServer[client.Pick(key)] }
		return d, nil
	})
}
