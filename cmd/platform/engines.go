package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/micro/go-platform/engine"
)

// backends are the nouns that have an address, and the URLs that they take.
var backends = []struct{ noun, schemes string }{
	{"auth", "https (an OAuth2 or OpenID Connect server)"},
	{"config", "redis etcd consul nats SQL"},
	{"discovery", "redis etcd consul kubernetes SQL; of router, too"},
	{"event", "redis nats kafka amqp SQL"},
	{"kv", "redis etcd consul nats memcached SQL"},
	{"monitor", "redis etcd consul nats SQL"},
	{"sync", "redis etcd consul kubernetes SQL"},
	{"trace", "http https (Zipkin's API)"},
}

// addresses is the topic of that name.
func addresses() string {
	var b strings.Builder
	b.WriteString(`Each noun has a flag and a variable of the environment for its address, and the
flag wins. Give addresses with a password by the variable: everybody on a machine
can see the flags of a program.

`)
	for _, x := range backends {
		fmt.Fprintf(&b, "  -%-10s  %-18s  %s\n", x.noun, variable(x.noun), x.schemes)
	}
	b.WriteString(`
SQL is postgres, mysql, mariadb or sqlite. For example:

  redis://:password@10.0.0.1:6379/2    etcd://10.0.0.1:2379,10.0.0.2:2379
  postgres://ann@10.0.0.1/shop         kafka://10.0.0.1:9092
  kubeconfig:/home/ann/.kube/config    sqlite:shop.db

An s behind the scheme is TLS (rediss, etcds, consuls, kafkas, amqps; tls of nats).
docs/engines.md has all forms of addresses.

-namespace, and PLATFORM_KV_NAMESPACE and so on, name the namespace that the
services were given by WithNamespace.
`)
	return b.String()
}

// variable is the variable of the environment for the address of a noun.
func variable(noun string) string { return "PLATFORM_" + strings.ToUpper(noun) }

// target is where a verb finds its backend.
type target struct {
	noun           string
	url, namespace *string
	def            string // the namespace, if none is given
}

// target defines the flags of an address. Their values are not looked up before
// they are needed, so that no help shows a password.
func (f *flags) target(noun, what string) *target {
	t := &target{noun: noun, url: f.string(noun, "", "`URL`: address of "+what)}
	f.env[noun] = variable(noun)
	return t
}

// namespaced adds the flag of a namespace.
func (t *target) namespaced(f *flags, def string) *target {
	usage := "`NAME`: the namespace that the services were given"
	if def != "" {
		usage += "; " + def + " if none is given"
	}
	t.namespace, t.def = f.string("namespace", "", usage), def
	f.env["namespace"] = variable(t.noun) + "_NAMESPACE"
	return t
}

// within says in which namespace it is, by the environment or def, without a flag.
func (t *target) within(def string) *target {
	t.namespace, t.def = new(string), def
	return t
}

// address returns the URL.
func (t *target) address(c *call) (string, error) {
	url := cmp.Or(*t.url, c.env(variable(t.noun)))
	scheme, _, _ := strings.Cut(url, ":")
	switch {
	case url == "":
		return "", badUse("no address: give -%s or set %s; see \"platform help addresses\"", t.noun, variable(t.noun))
	case strings.EqualFold(scheme, "memory"):
		return "", badUse("-%s memory: lives and ends in the process that has it; name a server", t.noun)
	}
	return url, nil
}

// space returns the namespace, "" for none.
func (t *target) space(c *call) string {
	return cmp.Or(*t.namespace, c.env(variable(t.noun)+"_NAMESPACE"), t.def)
}

// opening is what a verb does that begins by opening a part at a target.
func opening[T any](t *target, open func(*call, *target) (T, error), do func(context.Context, *call, T) error) action {
	return func(ctx context.Context, c *call) error {
		part, err := open(c, t)
		if err != nil {
			return err
		}
		return do(ctx, c, part)
	}
}

// options returns the option of the backend at a target.
func options[O any](c *call, t *target, known ...func(*engine.Choice) O) ([]O, error) {
	url, err := t.address(c)
	if err != nil {
		return nil, err
	}
	return engine.Options(&c.engines, url, known...)
}

// opened opens a part on the backend at a target, until the call ends. named is the
// part's WithNamespace; nil: the target has no namespace.
func opened[O, T any](c *call, t *target, open func(...O) (T, error), named func(string) O, known ...func(*engine.Choice) O) (T, error) {
	var none T
	opts, err := options(c, t, known...)
	if err != nil {
		return none, err
	}
	if named != nil && t.space(c) != "" {
		opts = append(opts, named(t.space(c)))
	}
	part, err := open(opts...)
	if err != nil {
		return none, err
	}
	switch p := any(part).(type) {
	case interface{ Close() error }:
		c.closes(p.Close)
	case interface{ Close(context.Context) error }:
		c.closesWithin(p.Close)
	}
	return part, nil
}
