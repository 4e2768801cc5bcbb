package nth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
)

// gift is what a function of WithDriver returns: nothing, a nil pointer, or an error.
type gift struct {
	pointer bool
	cause   error
}

func given[D any](g gift, pointer D) (d D, err error) {
	if g.pointer {
		return pointer, nil
	}
	return d, g.cause
}

// A function of WithDriver that gives nothing, or an error, is an error of New, and
// New then returns nil: not an interface that holds a nil pointer.
func TestNewWithoutADriver(t *testing.T) {
	type result struct {
		made, is bool
		err      error
	}
	of := func(made any, err, invalid error) result { return result{made != nil, errors.Is(err, invalid), err} }
	bad := errors.New("no such thing")
	for name, open := range map[string]func(gift) result{
		"auth": func(g gift) result {
			v, err := auth.New(auth.WithAnyAudience(), auth.WithDriver("x", func(context.Context) (auth.Driver, error) {
				return given(g, auth.Driver((*struct{ auth.Driver })(nil)))
			}))
			return of(v, err, auth.ErrInvalid)
		},
		"config": func(g gift) result {
			source, _ := given(g, config.Source((*struct{ config.Source })(nil)))
			v, err := config.New(config.WithSource(source))
			return of(v, err, config.ErrInvalid)
		},
		"config/store": func(g gift) result {
			v, err := store.New(store.WithDriver("x", func(context.Context) (store.Driver, error) {
				return given(g, store.Driver((*struct{ store.Driver })(nil)))
			}))
			return of(v, err, store.ErrInvalid)
		},
		"db": func(g gift) result {
			v, err := db.New(db.WithDriver("x", func(context.Context) (db.Driver, error) { return given(g, db.Driver((*struct{ db.Driver })(nil))) }))
			return of(v, err, db.ErrInvalid)
		},
		"discovery": func(g gift) result {
			v, err := discovery.New(discovery.WithDriver("x", func(context.Context) (discovery.Driver, error) {
				return given(g, discovery.Driver((*struct{ discovery.Driver })(nil)))
			}))
			return of(v, err, discovery.ErrInvalid)
		},
		"event": func(g gift) result {
			v, err := event.New(event.WithDriver("x", func(context.Context, event.Settings) (event.Driver, error) {
				return given(g, event.Driver((*struct{ event.Driver })(nil)))
			}))
			return of(v, err, event.ErrInvalid)
		},
		"kv": func(g gift) result {
			v, err := kv.New(kv.WithDriver("x", func(context.Context) (kv.Driver, error) { return given(g, kv.Driver((*struct{ kv.Driver })(nil))) }))
			return of(v, err, kv.ErrInvalid)
		},
		"log": func(g gift) result {
			v, err := log.New(log.WithDriver("x", func(context.Context) (log.Driver, error) { return given(g, log.Driver((*struct{ log.Driver })(nil))) }))
			want := log.ErrInvalid
			if g.cause != nil {
				want = log.ErrUnavailable // a file that may come
			}
			return of(v, err, want)
		},
		"metrics": func(g gift) result {
			v, err := metrics.New(metrics.WithDriver("x", func(context.Context) (metrics.Driver, error) {
				return given(g, metrics.Driver((*struct{ metrics.Driver })(nil)))
			}))
			return of(v, err, metrics.ErrInvalid)
		},
		"monitor": func(g gift) result {
			v, err := monitor.New(monitor.WithDriver("x", func(context.Context) (monitor.Driver, error) {
				return given(g, monitor.Driver((*struct{ monitor.Driver })(nil)))
			}))
			return of(v, err, monitor.ErrInvalid)
		},
		"sync": func(g gift) result {
			v, err := dsync.New(dsync.WithDriver("x", func(context.Context) (dsync.Driver, error) {
				return given(g, dsync.Driver((*struct{ dsync.Driver })(nil)))
			}))
			return of(v, err, dsync.ErrInvalid)
		},
		"trace": func(g gift) result {
			v, err := trace.New(trace.WithDriver("x", func(context.Context) (trace.Driver, error) {
				return given(g, trace.Driver((*struct{ trace.Driver })(nil)))
			}))
			return of(v, err, trace.ErrInvalid)
		},
	} {
		for what, g := range map[string]gift{"nothing": {}, "a nil pointer": {pointer: true}, "an error": {cause: bad}} {
			r := open(g)
			if r.made || !r.is || g.cause != nil && name != "config" && !errors.Is(r.err, bad) {
				t.Errorf("%s, %s: a value %t, %v, want nil and the package's ErrInvalid", name, what, r.made, r.err)
			}
		}
	}
}
