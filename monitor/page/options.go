package page

import (
	"errors"
	"net/http"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

// ErrInvalid is the kind of New's errors.
var ErrInvalid = fault.Invalid

// Access is what somebody may do.
type Access uint8

const (
	None  Access = iota // nothing
	Read                // look
	Write               // look, and change log levels
)

// Option configures New.
type Option func(*options) error

type options struct {
	router router.Router
	trace  trace.Tracer
	events event.Stream
	config config.Config
	log    log.Log
	access func(*http.Request) Access
	title  string
}

func with[T any](what string, v T, ok bool, set func(*options, T)) Option {
	return func(o *options) error {
		if !ok {
			return errors.New("nil " + what)
		}
		set(o, v)
		return nil
	}
}

// WithRouter shows what the router thinks of each instance.
func WithRouter(r router.Router) Option {
	return with("router", r, r != nil, func(o *options, r router.Router) { o.router = r })
}

// WithTrace shows traces that the tracer can search.
func WithTrace(t trace.Tracer) Option {
	return with("tracer", t, t != nil, func(o *options, t trace.Tracer) { o.trace = t })
}

// WithEvents shows the newest records of the stream.
func WithEvents(s event.Stream) Option {
	return with("stream", s, s != nil, func(o *options, s event.Stream) { o.events = s })
}

// WithConfig shows the running configuration. Secrets are redacted by it.
func WithConfig(c config.Config) Option {
	return with("config", c, c != nil, func(o *options, c config.Config) { o.config = c })
}

// WithLog shows the levels of loggers, and lets those with Write change them.
func WithLog(l log.Log) Option {
	return with("log", l, l != nil, func(o *options, l log.Log) { o.log = l })
}

// WithAccess says what whoever sent a request may do. The default is Read.
func WithAccess(f func(*http.Request) Access) Option {
	return with("function", f, f != nil, func(o *options, f func(*http.Request) Access) { o.access = f })
}

// WithTitle sets the title; the default is "Platform".
func WithTitle(s string) Option {
	return func(o *options) error { o.title = s; return nil }
}
