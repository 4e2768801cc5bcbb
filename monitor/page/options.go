package page

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/router"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
)

// Option configures New.
type Option func(*options) error

type options struct {
	discovery discovery.Discovery
	router    router.Router
	trace     trace.Tracer
	events    event.Stream
	config    config.Config
	documents store.Store
	locks     []dsync.Sync
	log       log.Log
	auth      auth.Auth
	access    func(*http.Request) Access
	login     func(user, password string) Access
	source    func(*http.Request) string
	hosts     []string
	title     string
	history   int
}

func with[T any](what string, v T, set func(*options, T)) Option {
	return func(o *options) error {
		if fronts.Nil(v) {
			return errors.New("nil " + what)
		}
		set(o, v)
		return nil
	}
}

// WithDiscovery shows what the registry says of each instance: its labels, its
// weight, and whether it is known but was not heard of. The page follows the
// services that it shows.
func WithDiscovery(d discovery.Discovery) Option {
	return with("discovery", d, func(o *options, d discovery.Discovery) { o.discovery = d })
}

// WithRouter shows what the router thinks of each instance.
func WithRouter(r router.Router) Option {
	return with("router", r, func(o *options, r router.Router) { o.router = r })
}

// WithTrace shows traces that the tracer can search.
func WithTrace(t trace.Tracer) Option {
	return with("tracer", t, func(o *options, t trace.Tracer) { o.trace = t })
}

// WithEvents shows the newest records of the stream.
func WithEvents(s event.Stream) Option {
	return with("stream", s, func(o *options, s event.Stream) { o.events = s })
}

// WithConfig shows the running configuration and what changed in it since the
// page was made. Secrets are redacted by it.
func WithConfig(c config.Config) Option {
	return with("config", c, func(o *options, c config.Config) { o.config = c })
}

// WithDocuments shows the documents of a store with their history and
// differences, and lets those with Write roll one back.
func WithDocuments(s store.Store) Option {
	return with("store", s, func(o *options, s store.Store) { o.documents = s })
}

// WithSync shows the locks, permits and leaderships that this process holds and
// waits for. It may be given several times.
func WithSync(s dsync.Sync) Option {
	return with("sync", s, func(o *options, s dsync.Sync) { o.locks = append(o.locks, s) })
}

// WithLog shows the levels of loggers, and lets those with Write change them.
func WithLog(l log.Log) Option {
	return with("log", l, func(o *options, l log.Log) { o.log = l })
}

// WithAuth lets the policy of a decide: who may do "read" or "write" on the
// resource "platform/page". The HTML, which says nothing, is served to anybody;
// its reader signs in with a bearer token, which the browser keeps until the
// tab is closed. Where a middleware authenticates first, it must let the page's
// own path through.
func WithAuth(a auth.Auth) Option {
	return with("auth", a, func(o *options, a auth.Auth) { o.auth = a })
}

// WithLogin makes the browser ask for a name and a password (basic
// authentication: use TLS), and lets check say what they are worth. Compare in
// constant time. Who was wrong five times waits a second before the next try,
// then twice as long, up to a minute (429 with Retry-After): see WithSource.
func WithLogin(check func(user, password string) Access) Option {
	return with("function", check, func(o *options, f func(user, password string) Access) { o.login = f })
}

// WithAccess says what whoever sent a request may do, by where it came from or
// what a middleware has found out. The default is Read.
func WithAccess(f func(*http.Request) Access) Option {
	return with("function", f, func(o *options, f func(*http.Request) Access) { o.access = f })
}

// WithSource says where a request comes from, for throttling sign-ins of
// WithLogin: wrong passwords of one source make nobody else wait. The default
// is the address of the connection, of IPv6 its /64. Behind a proxy give the
// client's, from a header that the proxy sets and strangers can't.
func WithSource(f func(*http.Request) string) Option {
	return with("function", f, func(o *options, f func(*http.Request) string) { o.source = f })
}

// WithHosts are the names, without port, by which browsers reach the page; with
// another Host the answer is 421. The default with WithAuth and WithLogin is
// any. Else it is IP addresses and names that no stranger can own: those
// without a dot and those that end in .localhost, .local, .internal, .home.arpa
// or .test. A page that lets in by place must know its own name, or another
// site's could have its name point here and read the page in an operator's
// browser.
func WithHosts(names ...string) Option {
	return func(o *options) error {
		for _, name := range names {
			if name == "" || strings.ContainsAny(name, "/:@ ") {
				return fmt.Errorf("host %q, want a name without scheme and port", name)
			}
			o.hosts = append(o.hosts, strings.ToLower(strings.TrimSuffix(name, ".")))
		}
		if len(names) == 0 {
			return errors.New("no host")
		}
		return nil
	}
}

// WithTitle sets the title; the default is "Platform".
func WithTitle(s string) Option {
	return func(o *options) error { o.title = s; return nil }
}

// defaultHistory is a week for 55 services, or an hour for 480.
const defaultHistory = 8 << 20

// WithHistory bounds what the samples of all services take, in bytes; the
// default is 8 MiB. Within it the last 5 min of a service are kept each 2 s, the
// last hour each 30 s and, as far as it reaches, up to a week each 5 min. The page
// says how far that is.
func WithHistory(bytes int) Option {
	return func(o *options) error {
		if bytes < leastHistory {
			return fmt.Errorf("history of %d bytes, want at least %d", bytes, leastHistory)
		}
		o.history = bytes
		return nil
	}
}

// leastHistory is the last 5 min of six services.
const leastHistory = 64 << 10
