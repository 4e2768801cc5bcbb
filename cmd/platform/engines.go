package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/micro/go-platform/engine"
)

// backends are the nouns that stand on an engine, and the URLs that they take.
var backends = []struct{ noun, example, schemes string }{
	{"kv", "redis://127.0.0.1:6379", "redis etcd consul nats postgres mysql sqlite memcached"},
	{"config", "postgres://127.0.0.1/shop", "redis etcd consul nats postgres mysql sqlite"},
	{"discovery", "consul://127.0.0.1:8500", "redis etcd consul kubernetes postgres mysql sqlite"},
	{"event", "kafka://127.0.0.1:9092", "redis nats kafka amqp postgres mysql sqlite"},
	{"sync", "etcd://127.0.0.1:2379", "redis etcd consul kubernetes postgres mysql sqlite"},
	{"trace", "http://127.0.0.1:9411", "http (Zipkin's API)"},
	{"auth", "https://login.example.com", "https (OAuth2, OpenID Connect)"},
	{"monitor", "redis://127.0.0.1:6379", "redis etcd consul nats postgres mysql sqlite"},
}

// addresses is the topic of that name.
func addresses() string {
	var b strings.Builder
	b.WriteString(`Each noun has a flag and a variable of the environment for its address, and the
flag wins. Give addresses with a password by the variable: everybody on a machine
can see the flags of a program.

`)
	fmt.Fprintf(&b, "  %-10s  %-18s  %-28s  %s\n", "flag", "variable", "for example", "schemes")
	for _, x := range backends {
		fmt.Fprintf(&b, "  %-10s  %-18s  %-28s  %s\n", "-"+x.noun, variable(x.noun), x.example, x.schemes)
	}
	b.WriteString(`
router takes the address of discovery. An s behind the scheme is TLS (rediss, etcds,
consuls, kafkas, amqps; tls of nats). docs/engines.md has all forms of addresses.

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

// options returns the option of the backend at a target.
func options[O any](c *call, t *target, known ...func(*engine.Choice) O) ([]O, error) {
	url, err := t.address(c)
	if err != nil {
		return nil, err
	}
	return engine.Options(&c.engines, url, known...)
}
