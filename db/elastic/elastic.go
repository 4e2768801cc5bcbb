package elastic

import (
	"context"
	"crypto/tls"
	"net/http"
	"regexp"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures the backend.
type Option func(*config) error

type config struct {
	client         *http.Client
	tls            *tls.Config
	user, password string
	key            string
	prefix         string
	refresh        Refresh
	interval       time.Duration
	shards         int
	replicas       int // below 0: the server's default
	conns          int
	response       int64
}

// Backend keeps the tables in Elasticsearch or OpenSearch at addr: "host:9200",
// "http://host:9200", "https://user:password@host/path", or several of them with
// commas between, of which any that answers is used. The port is 9200 if there
// is none, and 443 after https. A comma in a password is written %2C.
func Backend(addr string, opts ...Option) db.Option {
	return db.WithDriver("elastic", func(context.Context) (db.Driver, error) {
		c := config{replicas: -1, conns: maxConns, response: 32 << 20}
		c, err := conn.Apply(c, opts)
		if err != nil {
			return nil, err
		}
		cl, err := newClient(addr, c)
		if err != nil {
			return nil, err
		}
		return newDriver(cl, c), nil
	})
}

// WithClient sends requests by the caller's client, for a round tripper that
// signs, say; its connections, their number and their end are the caller's
// matter then. Redirects are not followed.
func WithClient(client *http.Client) Option {
	return func(c *config) error {
		if client == nil {
			return fault.Markf(db.ErrInvalid, "nil client")
		}
		c.client = client
		return nil
	}
}

// WithTLS connects with TLS, also to addresses without a scheme; with an
// address that says http it is an error. The default for https:// addresses is
// the system's certificates.
func WithTLS(t *tls.Config) Option {
	return func(c *config) error { return conn.SetTLS(&c.tls, t) }
}

// WithAuth is HTTP's basic authentication, for addresses without a user of
// their own.
func WithAuth(user, password string) Option {
	return func(c *config) error { return conn.SetAuth(&c.user, &c.password, user, password) }
}

// WithAPIKey shows an API key in the encoded form that the server made, for
// addresses without a user of their own.
func WithAPIKey(key string) Option {
	return func(c *config) error {
		if !keyForm.MatchString(key) { // and is not repeated
			return fault.Markf(db.ErrInvalid, "malformed API key")
		}
		c.key = key
		return nil
	}
}

var (
	keyForm    = regexp.MustCompile(`^[!-~]+$`)
	prefixForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,99}$`)
)

// WithPrefix is what the names of all indices begin with: small letters,
// digits, '_' and '-', up to 100. The default is nothing.
func WithPrefix(prefix string) Option {
	return func(c *config) error {
		if !prefixForm.MatchString(prefix) {
			return fault.Markf(db.ErrInvalid, "prefix %q, want small letters, digits, '_' and '-', up to 100", prefix)
		}
		c.prefix = prefix
		return nil
	}
}

// Refresh says when searches see writes, which these servers gather before
// they make them searchable. Reads by id see them at once, whatever is set.
type Refresh int

// The kinds of Refresh, with their costs.
const (
	// RefreshOwn: a search sees what this DB wrote before it, and what others
	// wrote up to the refresh interval before, a second by default. The first
	// search after a write makes one more request.
	RefreshOwn Refresh = iota

	// RefreshSearches: a search sees what anybody wrote before it. Each search
	// makes one more request, which is cheap when nothing was written.
	RefreshSearches

	// RefreshWrites: a write returns when searches see it, which takes up to the
	// refresh interval.
	RefreshWrites

	// RefreshNever: a search sees what was written up to the refresh interval
	// before. It costs nothing.
	RefreshNever
)

// WithRefresh says when searches see writes. The default is RefreshOwn.
// Features.Immediate is true with RefreshSearches and RefreshWrites.
func WithRefresh(r Refresh) Option {
	return func(c *config) error {
		if r < RefreshOwn || r > RefreshNever {
			return fault.Markf(db.ErrInvalid, "unknown refresh %d", int(r))
		}
		c.refresh = r
		return nil
	}
}

// WithRefreshInterval is how often the server makes writes searchable by
// itself, for tables that are made from now on. The default is the server's: a
// second, and not at all for a table that nobody has searched for 30.
func WithRefreshInterval(d time.Duration) Option {
	return func(c *config) error {
		if d < time.Millisecond {
			return fault.Markf(db.ErrInvalid, "refresh interval %v, want 1ms or more", d)
		}
		c.interval = d
		return nil
	}
}

// WithShards is the number of primary shards of tables that are made from now
// on. The default is the server's, 1.
func WithShards(n int) Option {
	return func(c *config) error { return fronts.AtLeast("shards", n, 1, &c.shards) }
}

// WithReplicas is how many copies each shard has besides itself, for tables
// that are made from now on. The default is the server's, 1; what has none is
// gone with its machine.
func WithReplicas(n int) Option {
	return func(c *config) error { return fronts.AtLeast("replicas", n, 0, &c.replicas) }
}

// maxConns is how many connections are open to each address. A client of your own
// (WithClient) has its own limit.
const maxConns = 10

// WithMaxResponse limits the bytes of one answer that are kept in memory. A
// page that is larger is fetched in parts; a record that is, is ErrTooLarge. The
// default is 32 MiB.
func WithMaxResponse(n int64) Option {
	return func(c *config) error {
		if n < 64<<10 {
			return fault.Markf(db.ErrInvalid, "answers of %d bytes, want 65536 or more", n)
		}
		c.response = n
		return nil
	}
}
