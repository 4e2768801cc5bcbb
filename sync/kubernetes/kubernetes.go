package kubernetes

import (
	"context"
	"net/url"

	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// Option configures Backend and On.
type Option func(*options) error

type options struct {
	elections map[string]string
}

// WithElection holds the election of id on the Lease of that name, instead of one
// whose name is made of namespace and id. Candidates of other programs, with
// client-go's leader election on the same Lease, and of this one take turns. The
// namespace of package sync doesn't matter then.
func WithElection(id, lease string) Option {
	return func(o *options) error {
		if id == "" {
			return fault.Markf(fault.Invalid, "WithElection: empty id")
		}
		if err := kubernetes.ValidName(lease); err != nil {
			return err
		}
		key := url.PathEscape(id) // as in the front's keys
		if o.elections[key] != "" {
			return fault.Markf(fault.Invalid, "WithElection(%q): given twice", id)
		}
		if o.elections == nil {
			o.elections = map[string]string{}
		}
		o.elections[key] = lease
		return nil
	}
}

// Backend keeps locks in the cluster at addr, over an engine of its own:
// "in-cluster", "kubeconfig:/path", "https://host:6443" and the other forms that
// engine/kubernetes takes.
func Backend(addr string, opts ...Option) dsync.Option {
	return open(func() (*kubernetes.Conn, bool, error) {
		c, err := kubernetes.Open(kubernetes.Config{Address: addr})
		return c, true, err
	}, opts)
}

// On keeps locks in the cluster that the engine is connected to, in its namespace,
// and leaves it open.
func On(e *engine.Engine, opts ...Option) dsync.Option {
	return open(func() (*kubernetes.Conn, bool, error) {
		c, err := e.Conn()
		return c, false, err
	}, opts)
}

func open(connect func() (c *kubernetes.Conn, own bool, err error), opts []Option) dsync.Option {
	return dsync.WithDriver("kubernetes", func(context.Context) (dsync.Driver, error) {
		o, err := conn.Apply(options{}, opts)
		if err != nil {
			return nil, err
		}
		c, own, err := connect()
		if err != nil {
			return nil, err
		}
		return newDriver(c, own, o.elections), nil
	})
}
