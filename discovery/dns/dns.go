// Package dns is a backend of package discovery that reads SRV records
// (RFC 2782): those of Kubernetes' headless services, of Consul's DNS, or of a
// zone file.
//
//	d, err := discovery.New(dns.Backend("default.svc.cluster.local"))
//
// # Backends
//
// Any DNS server: the system's, or that of WithServer. The records of service
// "greeter" are asked for as _greeter._tcp.default.svc.cluster.local; WithName
// asks otherwise.
//
// # Semantics
//
// DNS does not notify of changes, so a service is asked for every 10 s (WithPoll). An
// instance's address and ID is the record's target and port, its Weight the
// record's, at least 1. Only the records of the best priority are read. A name
// that doesn't exist is an empty set. What is missing from an answer has
// deregistered: there is no self-preservation here. A namespace makes no
// difference.
//
// # Errors
//
// The backend only reads: Register and Services return ErrUnsupported.
//
// # Closing
//
// There is nothing to close.
package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures Backend.
type Option func(*driver) error

// WithServer asks the DNS server at an address; the default port is 53.
func WithServer(addr string) Option {
	return func(d *driver) error {
		a, err := conn.Parse(addr, conn.Scheme{Name: "dns", Port: 53})
		if err != nil {
			return err
		}
		var dialer net.Dialer
		d.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, a.HostPort())
		}}
		return nil
	}
}

// WithResolver asks through the caller's resolver.
func WithResolver(r *net.Resolver) Option {
	return func(d *driver) error {
		if r == nil {
			return errors.New("nil resolver")
		}
		d.resolver = r
		return nil
	}
}

// WithPoll sets how often a service is asked for, at least 1 s. The default is
// 10 s.
func WithPoll(every time.Duration) Option {
	return func(d *driver) error { return fronts.AtLeast("poll period", every, time.Second, &d.poll) }
}

// WithName sets the name that is asked for. For Consul:
//
//	dns.WithName(func(service string) string { return service + ".service.consul" })
func WithName(name func(service string) string) Option {
	return func(d *driver) error {
		if name == nil {
			return errors.New("nil name function")
		}
		d.name = name
		return nil
	}
}

// Backend makes discovery.New read the SRV records below a domain.
func Backend(domain string, opts ...Option) discovery.Option {
	return discovery.WithDriver("dns", func(context.Context) (discovery.Driver, error) {
		d := &driver{poll: 10 * time.Second, resolver: net.DefaultResolver}
		d.name = func(service string) string { return "_" + service + "._tcp." + domain }
		if err := fronts.Apply(d, opts); err != nil {
			return nil, err
		}
		if domain == "" || strings.ContainsAny(domain, " \t\n/") {
			return nil, fmt.Errorf("domain %q, want a name", domain)
		}
		d.domain = domain
		return d, nil
	})
}

// driver implements discovery.Driver.
type driver struct {
	domain   string
	resolver *net.Resolver
	poll     time.Duration
	name     func(service string) string
}

func (d *driver) Close() error { return nil }

func (d *driver) Register(context.Context, discovery.Entry, func(discovery.Entry) bool) error {
	return discovery.ErrUnsupported
}

func (d *driver) Renew(context.Context, discovery.Entry) error { return discovery.ErrUnsupported }

func (d *driver) Deregister(context.Context, discovery.Entry) error { return discovery.ErrUnsupported }

// Services isn't something that DNS can tell.
func (d *driver) Services(context.Context) ([]string, error) { return nil, discovery.ErrUnsupported }

// Ping asks for the domain. An answer that it has no records is an answer.
func (d *driver) Ping(ctx context.Context) error {
	_, err := d.resolver.LookupNS(ctx, absolute(d.domain))
	return failure(ctx, err)
}

func (d *driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	service = service[strings.Index(service, "/")+1:]
	for {
		all, err := d.lookup(ctx, service)
		if err != nil {
			return err
		}
		deliver(discovery.Update{Instances: all, Fate: func(string) discovery.Fate { return discovery.Deregistered }})
		// Jitter, so that a fleet that started at once doesn't ask at once.
		if err := backoff.Sleep(ctx, d.poll-rand.N(d.poll/5)); err != nil {
			return err
		}
	}
}

// lookup asks once.
func (d *driver) lookup(ctx context.Context, service string) ([]discovery.Instance, error) {
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, records, err := d.resolver.LookupSRV(bounded, "", "", absolute(d.name(service)))
	if err != nil {
		_, parsed := errors.AsType[*net.DNSError](err) // of records with bad names there are good ones too
		if !parsed || len(records) == 0 {
			return nil, failure(ctx, err)
		}
	}
	best := uint16(1<<16 - 1)
	for _, r := range records {
		best = min(best, r.Priority)
	}
	var all []discovery.Instance
	seen := map[string]bool{}
	for _, r := range records {
		target := strings.TrimSuffix(r.Target, ".")
		addr := net.JoinHostPort(target, strconv.Itoa(int(r.Port)))
		// A target of "." says that the service is decidedly not there.
		if r.Priority != best || target == "" || r.Port == 0 || seen[addr] {
			continue
		}
		seen[addr] = true
		all = append(all, discovery.Instance{ID: addr, Address: addr, Weight: max(1, int(r.Weight))})
	}
	return all, nil
}

// failure tells no such name, which is no failure, from no answer.
func failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil
	}
	return fault.Mark(fault.Unavailable, err)
}

// absolute keeps the resolver from trying search domains.
func absolute(name string) string { return strings.TrimSuffix(name, ".") + "." }
