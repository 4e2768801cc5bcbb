package locktest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// Faults breaks a driver's calls on demand, between the front and the backend,
// so that every backend sees the same faults without a proxy. Its zero value
// breaks nothing; give Around to dsync.WithAround.
type Faults struct {
	cutOff, loseReplies atomic.Bool
}

var errInjected = errors.New("injected by the test")

// CutOff makes every call fail at once, without reaching the backend.
func (f *Faults) CutOff(on bool) { f.cutOff.Store(on) }

// LoseReplies makes Acquire succeed without the caller hearing of it.
func (f *Faults) LoseReplies(on bool) { f.loseReplies.Store(on) }

// Around wraps d.
func (f *Faults) Around(d dsync.Driver) dsync.Driver { return faultyDriver{d, f} }

func (f *Faults) err() error {
	if f.cutOff.Load() {
		return fault.Mark(fault.Unavailable, errInjected)
	}
	return nil
}

type faultyDriver struct {
	dsync.Driver
	f *Faults
}

func (d faultyDriver) Claim(r dsync.Request) dsync.Claim {
	return faultyClaim{d.Driver.Claim(r), d.f}
}

func (d faultyDriver) Holder(ctx context.Context, key string) (dsync.Candidate, error) {
	if err := d.f.err(); err != nil {
		return dsync.Candidate{}, err
	}
	return d.Driver.Holder(ctx, key)
}

func (d faultyDriver) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	if err := d.f.err(); err != nil {
		return err
	}
	return d.Driver.Watch(ctx, key, report)
}

type faultyClaim struct {
	dsync.Claim
	f *Faults
}

func (c faultyClaim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	if err := c.f.err(); err != nil {
		return dsync.Grant{}, err
	}
	g, err := c.Claim.Acquire(ctx, wait)
	if c.f.loseReplies.Load() {
		return dsync.Grant{}, fault.Mark(fault.UnknownOutcome, errInjected)
	}
	return g, err
}

func (c faultyClaim) Renew(ctx context.Context) (time.Time, error) {
	if err := c.f.err(); err != nil {
		return time.Time{}, err
	}
	return c.Claim.Renew(ctx)
}

func (c faultyClaim) Release(ctx context.Context) error {
	if err := c.f.err(); err != nil {
		return err
	}
	return c.Claim.Release(ctx)
}
