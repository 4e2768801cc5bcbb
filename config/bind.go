package config

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Binding is a T that follows the configuration. Load is one atomic read.
type Binding[T any] struct {
	value  atomic.Pointer[T]
	cancel func()

	mu    sync.Mutex
	calls []*func(old, new *T)
}

// BindOption is an option of Bind and Var.
type BindOption func(*bindOptions) error

type bindOptions struct{ unknown bool }

// AllowUnknown lets the configuration hold keys that the type doesn't have.
func AllowUnknown() BindOption {
	return func(o *bindOptions) error {
		o.unknown = true
		return nil
	}
}

// Bind decodes the value at path as a T, with the rules of Value.Scan, and
// again before each change. A change that T can't take is vetoed: Load goes on
// to return the last good one, and so does everybody else's. If *T has a method
// Validate() error it is asked too. Nothing at path is an empty object.
//
// Fields that are secret by tag or type are redacted in c's outputs from then
// on.
func Bind[T any](c Config, path string, opts ...BindOption) (*Binding[T], error) {
	return bind[T](c, path, nil, opts)
}

func bind[T any](c Config, path string, def *T, opts []BindOption) (*Binding[T], error) {
	var o bindOptions
	if err := fronts.Apply(&o, opts); err != nil {
		return nil, fault.Wrap("config", "bind", path, fault.Mark(ErrInvalid, err))
	}
	if c == nil {
		return nil, fault.New(ErrInvalid, "config", "bind", path, "nil Config")
	}
	ty := new(types)
	err := ty.check(reflect.TypeFor[T](), path, func(p string, f *field) {
		if s, ok := c.(interface{ addSecret(string) }); ok && f.secret {
			s.addSecret(p)
		}
	})
	if err != nil {
		return nil, fault.Wrap("config", "bind", path, fault.Mark(ErrInvalid, err))
	}
	b := &Binding[T]{}
	b.cancel, err = c.Subscribe(path, func(_ context.Context, ch Change) (func(), error) {
		next := new(T)
		if def != nil && !ch.New.Exists() {
			*next = *def
		} else if err := ch.New.scan(next, o.unknown); err != nil {
			return nil, err
		}
		if v, ok := any(next).(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
			}
		}
		return func() { b.set(next) }, nil
	})
	if err != nil {
		if wrapped, ok := errors.AsType[*fault.Error](err); ok { // say "bind" instead of "subscribe"
			err = wrapped.Cause
		}
		return nil, fault.Wrap("config", "bind", path, err)
	}
	return b, nil
}

func (b *Binding[T]) set(next *T) {
	old := b.value.Swap(next)
	if old == nil {
		return
	}
	b.mu.Lock()
	calls := b.calls
	b.mu.Unlock()
	for _, f := range calls {
		(*f)(old, next)
	}
}

// Load returns the newest good value. It must not be changed; it stays the same
// for as long as it is held.
func (b *Binding[T]) Load() *T { return b.value.Load() }

// OnChange calls f after every change, in order, one call at a time, when Load
// already returns new. f must not call Reload or Close. remove ends that.
func (b *Binding[T]) OnChange(f func(old, new *T)) (remove func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &f
	b.calls = append(b.calls[:len(b.calls):len(b.calls)], p)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.calls = slices.DeleteFunc(slices.Clone(b.calls), func(q *func(old, new *T)) bool { return q == p })
	}
}

// Close ends the binding. Load goes on to return its last value.
func (b *Binding[T]) Close() error { b.cancel(); return nil }

// Variable is one value that follows the configuration.
type Variable[T any] struct{ b *Binding[T] }

// Var binds the single value at path; def stands for it where nothing is set. A
// value that is no T is an error now and a veto later.
func Var[T any](c Config, path string, def T, opts ...BindOption) (*Variable[T], error) {
	b, err := bind(c, path, &def, opts)
	if err != nil {
		return nil, err
	}
	return &Variable[T]{b}, nil
}

// Load returns the value: one atomic read and a copy.
func (v *Variable[T]) Load() T { return *v.b.value.Load() }

// OnChange calls f after every change, as Binding.OnChange does.
func (v *Variable[T]) OnChange(f func(old, new T)) (remove func()) {
	return v.b.OnChange(func(old, new *T) { f(*old, *new) })
}

// Close ends the variable. Load goes on to return its last value.
func (v *Variable[T]) Close() error { return v.b.Close() }
