package cluster

import (
	"context"
	"net/url"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// The labels of an instance, and the roles.
const (
	LabelDriver = "driver"
	LabelRole   = "role"

	Primary = "primary"
	Replica = "replica"
)

// Node is one server of the database.
type Node struct {
	ID       string
	Address  string // host:port
	Driver   string
	Role     string // Primary or Replica
	Zone     string
	Database string // as FromDiscovery was given
	Labels   map[string]string

	Credentials Credentials // what WithCredentials returned; in a call of its function, nothing
}

// Credentials are what a program shows to a node.
type Credentials struct{ User, Password string }

// String hides the password.
func (c Credentials) String() string { return c.User }

// GoString hides the password.
func (c Credentials) GoString() string { return "cluster.Credentials{User:" + c.User + "}" }

// URL returns "scheme://user:password@address/database", with all parts
// escaped.
func (n Node) URL(scheme string) string {
	u := url.URL{Scheme: scheme, Host: n.Address, Path: "/" + n.Database}
	if n.Credentials != (Credentials{}) {
		u.User = url.UserPassword(n.Credentials.User, n.Credentials.Password)
	}
	return u.String()
}

// Option configures FromDiscovery.
type Option func(*driver) error

// WithBackend says how to open nodes whose label "driver" is this. At least one
// is needed. backend must not ask the server.
func WithBackend(label string, backend func(n Node) db.Option) Option {
	return func(d *driver) error {
		if label == "" || backend == nil || d.backends[label] != nil {
			return fault.Markf(db.ErrInvalid, "backend %q: want a label, given once, and a function", label)
		}
		d.backends[label] = backend
		return nil
	}
}

// WithCredentials is asked for the credentials of a node before its pool is
// made.
func WithCredentials(f func(ctx context.Context, n Node) (Credentials, error)) Option {
	return func(d *driver) error {
		if f == nil {
			return fault.Markf(db.ErrInvalid, "nil function for credentials")
		}
		d.credentials = f
		return nil
	}
}

// WithReplicaReads lets Read, Search and Count outside of transactions go to
// replicas in turn, and to a primary if there is none. They may then miss the
// newest writes, so Features.Immediate is false.
func WithReplicaReads() Option {
	return func(d *driver) error { d.replicas = true; return nil }
}

// FromDiscovery is a backend that stands on the instances of the service
// "db.<database>".
func FromDiscovery(from discovery.Discovery, database string, opts ...Option) db.Option {
	return db.WithDriver("cluster", func(context.Context) (db.Driver, error) {
		if fronts.Nil(from) {
			return nil, fault.Markf(db.ErrInvalid, "nil discovery")
		}
		d := &driver{
			database: database, backends: map[string]func(Node) db.Option{}, nodes: map[string]*node{},
			specs: map[string]db.TableSpec{}, ready: make(chan struct{}), life: life.New(), rest: time.Second,
		}
		if err := fronts.Apply(d, opts); err != nil {
			return nil, err
		}
		service := "db." + database
		if err := (discovery.Instance{ID: "x", Service: service, Address: "x:1"}).Validate(); database == "" || err != nil {
			return nil, fault.Markf(db.ErrInvalid, "database %q, want a name that fits in %q", database, service)
		}
		if len(d.backends) == 0 {
			return nil, fault.Markf(db.ErrInvalid, "no WithBackend")
		}
		d.life.Go(func(ctx context.Context) { d.follow(ctx, from, service) })
		return d, nil
	})
}
