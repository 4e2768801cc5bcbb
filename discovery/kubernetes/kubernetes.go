package kubernetes

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/kubernetes"
	shared "github.com/micro/go-platform/internal/conn"
	conn "github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
)

// Option configures Backend and On.
type Option func(*options) error

// pollEvery is how often the API server is asked for a sign of life while nothing
// happens.
const pollEvery = 15 * time.Second

type options struct {
	poll          time.Duration
	target        func(service string) Target
	register      bool
	podLabels     bool
	serviceLabels bool
}

// Target is where the instances of a service are.
type Target struct {
	Namespace string // "" is that of the engine
	Service   string // the Service's name
	Port      string // the name of the port; "" is the first
}

// WithTargets sets where a service's instances are: by default in the Service of
// that name, at its first port, in the namespace of discovery.WithNamespace or
// else of the engine. It is not asked for services with a discovery namespace.
func WithTargets(target func(service string) Target) Option {
	return func(o *options) error {
		if target == nil {
			return fault.Markf(fault.Invalid, "nil function")
		}
		o.target = target
		return nil
	}
}

// ParseTarget is for WithTargets: it reads "greeter", "greeter.shop" of another
// namespace, and "greeter:grpc" or "greeter.shop:grpc" with the name of a port.
func ParseTarget(service string) Target {
	name, port, _ := strings.Cut(service, ":")
	name, namespace, _ := strings.Cut(name, ".")
	return Target{Namespace: namespace, Service: name, Port: port}
}

// WithRegistration lets Register enter instances that run outside the cluster,
// as EndpointSlices that this package owns. Without it, Register is
// ErrUnsupported: what runs in pods is entered by Kubernetes.
func WithRegistration() Option {
	return func(o *options) error { o.register = true; return nil }
}

// WithPodLabels gives instances the labels of their pods, and the version of the
// label app.kubernetes.io/version. It costs a watch of the pods of each namespace
// that is followed, of their metadata alone, and the right to list and watch pods.
func WithPodLabels() Option {
	return func(o *options) error { o.podLabels = true; return nil }
}

// WithServiceLabels gives instances the labels of their Service; those of the pod
// win. It costs a watch of the Services' metadata in each namespace that is
// followed, and the right to list and watch services.
func WithServiceLabels() Option {
	return func(o *options) error { o.serviceLabels = true; return nil }
}

// Backend makes discovery.New use the API server at addr, over an engine of its
// own: "in-cluster", "kubeconfig:/path", and the other forms that
// engine/kubernetes takes.
func Backend(addr string, opts ...Option) discovery.Option {
	return open(func() (*conn.Conn, error) { return conn.Open(conn.Config{Address: addr}) }, true, opts)
}

// On makes discovery.New use the API server that the engine is connected to, and
// leaves it open.
func On(e *engine.Engine, opts ...Option) discovery.Option { return open(e.Conn, false, opts) }

func open(connect func() (*conn.Conn, error), own bool, opts []Option) discovery.Option {
	return discovery.WithDriver("kubernetes", func(context.Context) (discovery.Driver, error) {
		o, err := shared.Apply(options{poll: pollEvery}, opts)
		if err != nil {
			return nil, err
		}
		c, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{options: o, c: c, own: own, views: map[string]*view{}, past: map[string]past{}, wrote: map[string]string{}}, nil
	})
}

// where resolves a name as the front gives it.
func (d *driver) where(service string) (Target, error) {
	t := Target{Service: service}
	if namespace, name, ok := strings.Cut(service, "/"); ok {
		t = Target{Namespace: namespace, Service: name}
	} else if d.target != nil {
		t = d.target(service)
	}
	if t.Namespace == "" {
		t.Namespace = d.c.Namespace()
	}
	if t.Service == "" {
		return t, fault.Markf(fault.Invalid, "service %q has no target", service)
	}
	if err := conn.ValidNamespace(t.Namespace); err != nil {
		return t, fmt.Errorf("service %q: %w", service, err)
	}
	return t, nil
}
