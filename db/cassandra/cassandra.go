package cassandra

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures the backend.
type Option func(*config) error

type config struct {
	address        string
	client         *gocql.Session
	hosts          []string
	port           int // of nodes that don't say theirs
	user, password string
	keyspace       string
	copies         int // of the keyspace that is made; 0: none is
	datacenters    []string
	local          string // datacenter
	tls            *tls.Config
	consistency    gocql.Consistency
	maxConns       int
	answer         time.Duration
	buckets        int
	scanLimit      int
	log            *slog.Logger
}

// Backend keeps the tables in the cluster that any of the nodes at addr
// belongs to: "host:9042", "host1,host2", or
// "cassandra://user:password@host1:9042,host2/keyspace". The keyspace is "db"
// unless the address or WithKeyspace names another.
func Backend(addr string, opts ...Option) db.Option {
	return open(config{address: addr}, opts)
}

// WithClient keeps the tables through a session that the caller already has,
// and closes itself. What concerns connections is the session's.
func WithClient(session *gocql.Session, opts ...Option) db.Option {
	return open(config{client: session}, opts)
}

// WithKeyspace names the keyspace, over the one in the address: a letter,
// then letters, digits and '_', up to 48. Upper and lower case differ.
func WithKeyspace(name string) Option {
	return func(c *config) error {
		if name == "" {
			return fault.Markf(db.ErrInvalid, "empty keyspace")
		}
		c.keyspace = name
		return nil
	}
}

// WithCreate makes the keyspace when the first table is opened, if it isn't
// there: with this many copies of each record, in each of the datacenters. No
// datacenters stands for all that there are. The default is that someone else
// makes it.
func WithCreate(copies int, datacenters ...string) Option {
	return func(c *config) error {
		if copies < 1 || slices.Contains(datacenters, "") {
			return fault.Markf(db.ErrInvalid, "%d copies in datacenters %q", copies, datacenters)
		}
		c.copies, c.datacenters = copies, slices.Clone(datacenters)
		return nil
	}
}

// WithAuth gives name and password, over those in the address.
func WithAuth(user, password string) Option {
	return func(c *config) error { return conn.SetAuth(&c.user, &c.password, user, password) }
}

// WithTLS encrypts. A configuration without ServerName checks each node's
// certificate against its address.
func WithTLS(t *tls.Config) Option {
	return func(c *config) error { return conn.SetTLS(&c.tls, t) }
}

// WithDatacenter sends everything to the nodes of one datacenter, as long as
// one of them is up. Where there are several datacenters, it is what makes
// "local" mean the caller's.
func WithDatacenter(name string) Option {
	return func(c *config) error {
		if name == "" {
			return fault.Markf(db.ErrInvalid, "empty datacenter")
		}
		c.local = name
		return nil
	}
}

// WithConsistency sets how many copies take part. LocalQuorum, the default, is a
// majority in the datacenter that is asked, and lightweight transactions are
// decided there (LOCAL_SERIAL): all writers of a table have to use the same
// datacenter. Quorum is a majority of all (SERIAL). Nothing weaker would find
// what was written.
func WithConsistency(level gocql.Consistency) Option {
	return func(c *config) error {
		if level != gocql.LocalQuorum && level != gocql.Quorum {
			return fault.Markf(db.ErrInvalid, "consistency %v, want LOCAL_QUORUM or QUORUM", level)
		}
		c.consistency = level
		return nil
	}
}

// connsPerNode is how many connections there are to one node, beside the one that
// follows the cluster's state. Each carries thousands of calls at once.
const connsPerNode = 2

// dialTimeout bounds making a connection.
const dialTimeout = 5 * time.Second

// WithTimeout bounds the wait for one answer. The default is 11 s, more than the
// server's own: it knows better what became of a write.
func WithTimeout(d time.Duration) Option {
	return func(c *config) error { return fronts.Positive("timeout", d, &c.answer) }
}

// WithBuckets sets over how many partitions the entries of one key are spread
// in tables that are made, 1 to 64. The default is 8. A partition should stay
// below 100 MB, about a million records; a search reads from all of them.
func WithBuckets(n int) Option {
	return func(c *config) error {
		if n < 1 || n > maxBuckets {
			return fault.Markf(db.ErrInvalid, "%d buckets, want 1 to %d", n, maxBuckets)
		}
		c.buckets = n
		return nil
	}
}

// WithScanLimit bounds how many entries a search looks at to fill a page, and
// how many Count counts. More is ErrTooLarge. The default is 10,000.
func WithScanLimit(n int) Option {
	return func(c *config) error { return fronts.AtLeast("scan limit", n, 1, &c.scanLimit) }
}

// WithLogger sets where the connections report what they do on their own. The
// default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error { return fronts.Logger(l, &c.log) }
}

func open(base config, opts []Option) db.Option {
	return db.WithDriver("cassandra", func(context.Context) (db.Driver, error) {
		c := base // open may be called again
		c.consistency, c.maxConns, c.buckets, c.scanLimit = gocql.LocalQuorum, connsPerNode, 8, 10_000
		c.log = slog.New(slog.DiscardHandler)
		if c.client == nil {
			if err := c.read(); err != nil {
				return nil, fault.Mark(db.ErrInvalid, err)
			}
		}
		c, err := conn.Apply(c, opts)
		if err != nil {
			return nil, err
		}
		c.keyspace = cmp.Or(c.keyspace, "db")
		if !keyspaceForm.MatchString(c.keyspace) {
			return nil, fault.Markf(db.ErrInvalid, "keyspace %q, want a letter, then letters, digits and '_', up to 48", c.keyspace)
		}
		c.answer = cmp.Or(c.answer, 11*time.Second)
		return newDriver(c), nil
	})
}

var keyspaceForm = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,47}$`)

// read reads the address. Several hosts share user and path.
func (c *config) read() error {
	if c.address == "" {
		return errors.New("no address and no session")
	}
	for host := range conn.Hosts(c.address) {
		a, err := conn.Parse(host, conn.Scheme{Name: "cassandra", Port: 9042})
		if err != nil {
			return err
		}
		if len(a.Query) > 0 {
			return fmt.Errorf("address %q has parameters, want none", conn.Redact(c.address))
		}
		err = a.CheckAuth()
		if err != nil {
			return fmt.Errorf("address %q: %w", conn.Redact(c.address), err)
		}
		c.hosts = append(c.hosts, a.HostPort())
		c.port, c.user, c.password, c.keyspace = a.Port, a.User, a.Password, a.Path
	}
	return nil
}
