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

// A function of WithDriver that gives nothing, or an error, is an error of New, and
// New then returns nil: not an interface that holds a nil pointer.
func TestNewWithoutADriver(t *testing.T) {
	type result struct {
		made, is bool
		err      error
	}
	of := func(made any, err, invalid error) result { return result{made != nil, errors.Is(err, invalid), err} }
	bad := errors.New("no such thing")
	for name, open := range map[string]func(cause error) result{
		"auth": func(cause error) result {
			v, err := auth.New(auth.WithAnyAudience(), auth.WithDriver("x", func(context.Context) (auth.Driver, error) { return nil, cause }))
			return of(v, err, auth.ErrInvalid)
		},
		"config": func(error) result {
			v, err := config.New(config.WithSource(nil))
			return of(v, err, config.ErrInvalid)
		},
		"config/store": func(cause error) result {
			v, err := store.New(store.WithDriver("x", func(context.Context) (store.Driver, error) { return nil, cause }))
			return of(v, err, store.ErrInvalid)
		},
		"db": func(cause error) result {
			v, err := db.New(db.WithDriver("x", func(context.Context) (db.Driver, error) { return nil, cause }))
			return of(v, err, db.ErrInvalid)
		},
		"discovery": func(cause error) result {
			v, err := discovery.New(discovery.WithDriver("x", func(context.Context) (discovery.Driver, error) { return nil, cause }))
			return of(v, err, discovery.ErrInvalid)
		},
		"event": func(cause error) result {
			v, err := event.New(event.WithDriver("x", func(context.Context, event.Settings) (event.Driver, error) { return nil, cause }))
			return of(v, err, event.ErrInvalid)
		},
		"kv": func(cause error) result {
			v, err := kv.New(kv.WithDriver("x", func(context.Context) (kv.Driver, error) { return nil, cause }))
			return of(v, err, kv.ErrInvalid)
		},
		"log": func(cause error) result {
			v, err := log.New(log.WithDriver("x", func(context.Context) (log.Driver, error) { return nil, cause }))
			want := log.ErrInvalid
			if cause != nil {
				want = log.ErrUnavailable // a file that may come
			}
			return of(v, err, want)
		},
		"metrics": func(cause error) result {
			v, err := metrics.New(metrics.WithDriver("x", func(context.Context) (metrics.Driver, error) { return nil, cause }))
			return of(v, err, metrics.ErrInvalid)
		},
		"monitor": func(cause error) result {
			v, err := monitor.New(monitor.WithDriver("x", func(context.Context) (monitor.Driver, error) { return nil, cause }))
			return of(v, err, monitor.ErrInvalid)
		},
		"sync": func(cause error) result {
			v, err := dsync.New(dsync.WithDriver("x", func(context.Context) (dsync.Driver, error) { return nil, cause }))
			return of(v, err, dsync.ErrInvalid)
		},
		"trace": func(cause error) result {
			v, err := trace.New(trace.WithDriver("x", func(context.Context) (trace.Driver, error) { return nil, cause }))
			return of(v, err, trace.ErrInvalid)
		},
	} {
		for what, cause := range map[string]error{"nothing": nil, "an error": bad} {
			r := open(cause)
			if r.made || !r.is || cause != nil && name != "config" && !errors.Is(r.err, bad) {
				t.Errorf("%s, %s: a value %t, %v, want nil and the package's ErrInvalid", name, what, r.made, r.err)
			}
		}
	}
}
