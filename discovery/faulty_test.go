package discovery

import (
	"context"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
)

// faulty is a memory registry that can be taken away and counts what is asked.
type faulty struct {
	memoryDriver
	down    atomic.Bool
	lost    atomic.Pointer[chan struct{}] // closed: sessions fail
	watches atomic.Int32                  // sessions begun
	open    atomic.Int32                  // sessions in progress
	writes  atomic.Int32
	closed  atomic.Bool
}

func newFaulty() *faulty {
	d := &faulty{memoryDriver: memoryDriver{NewRegistry()}}
	d.give()
	return d
}

func (d *faulty) option() Option {
	return WithDriver("faulty", func(context.Context) (Driver, error) { return d, nil })
}

func (d *faulty) err() error {
	if d.down.Load() {
		return fault.Markf(fault.Unavailable, "down")
	}
	return nil
}

func (d *faulty) Ping(context.Context) error { return d.err() }

func (d *faulty) Close() error { d.closed.Store(true); return nil }

func (d *faulty) Register(ctx context.Context, e Entry, replace func(Entry) bool) error {
	d.writes.Add(1)
	if err := d.err(); err != nil {
		return err
	}
	return d.memoryDriver.Register(ctx, e, replace)
}

func (d *faulty) Renew(ctx context.Context, e Entry) error {
	d.writes.Add(1)
	if err := d.err(); err != nil {
		return err
	}
	return d.memoryDriver.Renew(ctx, e)
}

func (d *faulty) Watch(ctx context.Context, service string, deliver func(Update)) error {
	d.watches.Add(1)
	if err := d.err(); err != nil {
		return err
	}
	d.open.Add(1)
	defer d.open.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := *d.lost.Load()
	go func() {
		select {
		case <-lost:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := d.memoryDriver.Watch(ctx, service, deliver)
	if e := d.err(); e != nil {
		return e
	}
	return err
}

// take takes the registry away, give brings it back.
func (d *faulty) take() { d.down.Store(true); close(*d.lost.Load()) }

func (d *faulty) give() { c := make(chan struct{}); d.lost.Store(&c); d.down.Store(false) }

// held is a memory registry whose writes and watches wait while a gate is set, or
// until their context ends; deaf ones wait in any case.
type held struct {
	memoryDriver
	gate atomic.Pointer[chan struct{}]
	deaf atomic.Bool
}

func (d *held) option() Option {
	return WithDriver("held", func(context.Context) (Driver, error) { return d, nil })
}

// hold makes calls wait until release.
func (d *held) hold() (release func()) {
	c := make(chan struct{})
	d.gate.Store(&c)
	return func() { d.gate.Store(nil); close(c) }
}

func (d *held) wait(ctx context.Context) error {
	gate := d.gate.Load()
	if gate == nil {
		return nil
	}
	ended := ctx.Done()
	if d.deaf.Load() {
		ended = nil
	}
	select {
	case <-*gate:
		return nil
	case <-ended:
		return ctx.Err()
	}
}

func (d *held) Register(ctx context.Context, e Entry, replace func(Entry) bool) error {
	err := d.wait(ctx)
	if err != nil {
		return err
	}
	return d.memoryDriver.Register(context.WithoutCancel(ctx), e, replace)
}

func (d *held) Deregister(ctx context.Context, e Entry) error {
	err := d.wait(ctx)
	if err != nil {
		return err
	}
	return d.memoryDriver.Deregister(ctx, e)
}

func (d *held) Watch(ctx context.Context, service string, deliver func(Update)) error {
	err := d.wait(ctx)
	if err != nil {
		return err
	}
	return d.memoryDriver.Watch(ctx, service, deliver)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func in(id string) Instance { return Instance{Service: "s", ID: id, Address: "h:1"} }
