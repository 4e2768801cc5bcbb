package kubernetes

import (
	"context"
	"errors"
	gosync "sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/watch"
	dsync "github.com/micro/go-platform/sync"
)

// lookAgain is how long a waiter that lost a race waits for the watch to tell
// what came of it.
const lookAgain = time.Second

// lookTimeout bounds a look that no claim is behind.
const lookTimeout = 5 * time.Second

// wait follows the Lease and takes it when its holder releases it, or has been
// silent for too long, which is after left as far as it is known.
func (c *claim) wait(ctx context.Context, left time.Duration) (dsync.Grant, error) {
	news, stop := c.d.news(ctx, c.name)
	defer stop()
	t := time.NewTimer(left)
	defer t.Stop()
	for failures := 0; ; {
		var l *lease
		select {
		case l = <-news.C():
		case <-t.C: // nothing was seen: is it so?
		case <-ctx.Done():
			return dsync.Grant{}, ctx.Err()
		}
		g, left, err := c.step(ctx, l)
		switch {
		case g.Token > 0:
			return g, nil
		case err == nil:
			failures = 0
			t.Reset(left)
		case errors.Is(err, errChanged):
			t.Reset(lookAgain)
		case ctx.Err() != nil:
			return dsync.Grant{}, err
		case errors.Is(err, fault.Denied), errors.Is(err, fault.Invalid), errors.Is(err, fault.Unsupported), errors.Is(err, fault.Closed):
			return dsync.Grant{}, err
		default:
			t.Reset(backoff.Policy{Max: c.TTL / 3}.Wait(failures))
			failures++
		}
	}
}

// step takes what was seen; nil is looked for.
func (c *claim) step(ctx context.Context, l *lease) (dsync.Grant, time.Duration, error) {
	if l == nil {
		var err error
		l, err = c.look(ctx)
		if err != nil {
			return dsync.Grant{}, 0, err
		}
	}
	return c.take(ctx, l)
}

// news follows a Lease in the background, through outages: the newest state
// waits to be read; nil is that there is none.
func (d *driver) news(ctx context.Context, name string) (states *watch.Coalesce[*lease], stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	states = watch.NewCoalesce[*lease]()
	var wg gosync.WaitGroup
	wg.Go(func() {
		watch.Follow(ctx, watch.Options{}, func(ctx context.Context, _ int, progress func(int)) error {
			return d.follow(ctx, name, func(l *lease) {
				progress(0)
				states.Push(l)
			})
		})
	})
	return states, func() { cancel(); wg.Wait() }
}

func (d *driver) Holder(ctx context.Context, key string) (dsync.Candidate, error) {
	name := d.nameOf(key)
	l, err := d.get(ctx, lookTimeout, name)
	if err != nil {
		return dsync.Candidate{}, err
	}
	c, _ := d.candidate(name, l)
	if c == (dsync.Candidate{}) {
		return c, dsync.ErrNoLeader
	}
	return c, nil
}

// candidate returns who holds a Lease that was seen just now, and for how long
// if it is not seen to renew.
func (d *driver) candidate(name string, l *lease) (dsync.Candidate, time.Duration) {
	left := d.sights.left(name, l)
	if left <= 0 {
		return dsync.Candidate{}, 0
	}
	owner, nonce := split(l.holder())
	if nonce == "" { // another program's, which has no tokens
		return dsync.Candidate{Owner: owner}, left
	}
	return dsync.Candidate{Owner: owner, Token: l.token(nonce)}, left
}

func (d *driver) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	name := d.nameOf(key)
	ctx, cancel := context.WithCancel(ctx)
	states := watch.NewCoalesce[*lease]()
	failed := make(chan error, 1)
	var wg gosync.WaitGroup
	wg.Go(func() { failed <- d.follow(ctx, name, states.Push) })
	defer wg.Wait()
	defer cancel()
	silent := time.NewTimer(0)
	silent.Stop()
	defer silent.Stop()
	for {
		var l *lease
		select {
		case l = <-states.C():
		case <-silent.C: // or only the watch is: nobody may be made of a leader by that
			var err error
			l, err = d.get(ctx, lookTimeout, name)
			if err != nil {
				return err
			}
		case err := <-failed:
			return err
		}
		c, left := d.candidate(name, l)
		report(c)
		silent.Stop()
		if left > 0 {
			silent.Reset(left)
		}
	}
}

// follow tells the Lease as it is, nil if there is none, and every change of it.
// All who follow one share a watch.
func (d *driver) follow(ctx context.Context, name string, seen func(*lease)) error {
	return kubernetes.Follow[lease](ctx, d.conn, d.leases, kubernetes.Named(name), func(c kubernetes.Change[*lease]) {
		switch {
		case c.Reset && len(c.All) == 0, c.Deleted:
			seen(nil)
		case c.Reset:
			seen(c.All[0])
		case c.Object != nil:
			seen(c.Object)
		}
	})
}
