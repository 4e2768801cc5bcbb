package fronts

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Backend is what the options of a package say about the backend behind it.
type Backend[D any] struct {
	Name string // as errors say it: "redis"
	open func(ctx context.Context) (D, error)
	Dial time.Duration // how long New waits for it
	Lazy bool          // New does not ask it
}

// Use is WithDriver: it takes the first backend and refuses another one.
func (b *Backend[D]) Use(name string, open func(ctx context.Context) (D, error)) error {
	if err := Named(name, open); err != nil {
		return err
	}
	if b.open != nil {
		return fault.Markf(fault.Invalid, "two backends, %s and %s", b.Name, name)
	}
	b.Name, b.open = name, open
	return nil
}

// Chosen reports whether Use was called.
func (b *Backend[D]) Chosen() bool { return b.open != nil }

// Driver opens the backend's driver and asks nothing.
func (b *Backend[D]) Driver(ctx context.Context) (D, error) { return b.open(ctx) }

// Open opens the backend's driver and puts around it what is given, the last
// outermost. advise, if it is not nil, gets the advice that a backend which
// answers has for its operator.
func (b *Backend[D]) Open(scope string, advise func(string), around ...func(D) D) (D, error) {
	return Open(scope, b.Dial, b.Lazy, func(ctx context.Context) (D, error) {
		d, err := b.open(ctx)
		if err == nil && !Nil(d) {
			for _, wrap := range around {
				d = wrap(d)
			}
		}
		return d, err
	}, advise)
}

// Named checks the arguments of a WithDriver.
func Named[D any](name string, open func(ctx context.Context) (D, error)) error {
	if name == "" || open == nil {
		return fault.Markf(fault.Invalid, "WithDriver wants a name and a function")
	}
	return nil
}

// Pinger is a driver that can ask its backend for a sign of life.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Adviser is a driver that can see that its backend is not set up well.
type Adviser interface {
	Advice(ctx context.Context) string // "": nothing to say
}

// Open opens a driver within dial and, unless lazy, asks it for a sign of life
// if it has a Ping. A driver that does not answer is closed.
func Open[D any](scope string, dial time.Duration, lazy bool, open func(ctx context.Context) (D, error), advise func(string)) (D, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dial)
	defer cancel()
	d, err := open(ctx)
	if err == nil && Nil(d) {
		err = fault.NoDriver
	}
	if err != nil {
		return d, fault.Opening(scope, err)
	}
	p, ok := any(d).(Pinger)
	if !ok || lazy {
		return d, nil
	}
	if err := p.Ping(ctx); err != nil {
		Close(d)
		return d, fault.Unanswered(scope, err)
	}
	if a, ok := any(d).(Adviser); ok && advise != nil {
		if advice := a.Advice(ctx); advice != "" {
			advise(advice)
		}
	}
	return d, nil
}

// Close closes a driver that New does not keep.
func Close(driver any) {
	switch d := driver.(type) {
	case interface{ Close() error }:
		_ = d.Close()
	case interface{ Close(context.Context) error }:
		_ = d.Close(context.Background())
	}
}

// Deadline gives a context that has none a deadline.
func Deadline(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}
