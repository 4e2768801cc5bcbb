package kvinbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// The values of a note.
const (
	done    = "done"
	claimed = "claimed " // and the attempt's own ID
)

// Handler returns a handler that calls f for each record once.
func (b *Inbox) Handler(f event.Handler) event.Handler {
	return func(ctx context.Context, r *event.Record) error {
		c := &claim{b: b, key: b.key(r), value: claimed + event.NewID()}
		mine, err := c.take(ctx)
		if err != nil || !mine {
			return fault.Wrap(scope, "claim", r.ID, err)
		}
		if err := c.run(ctx, f, r); err != nil {
			return err
		}
		return fault.Wrap(scope, "note", r.ID, c.done(ctx))
	}
}

// key tells records apart.
func (b *Inbox) key(r *event.Record) string {
	sum := sha256.Sum256([]byte(r.Source + "\x00" + r.ID))
	return b.prefix + hex.EncodeToString(sum[:])
}

// claim is one attempt's hold of a record. Only its own goroutine uses it, except
// for keep while the function runs.
type claim struct {
	b        *Inbox
	key      string
	value    string
	revision kv.Revision
	until    time.Time // for us; the store's time to live began later
}

// polling is how often a claim of another is looked at.
var polling = backoff.Policy{Min: 20 * time.Millisecond, Max: time.Second}

// take claims the record, after another's claim if there is one, and reports false
// if it is done.
func (c *claim) take(ctx context.Context) (bool, error) {
	for n := 0; ; n++ {
		sent := time.Now()
		rev, err := c.b.store.Put(ctx, c.key, []byte(c.value), kv.IfAbsent(), kv.TTL(c.b.claim))
		if err == nil {
			c.revision, c.until = rev, sent.Add(c.b.claim)
			return true, nil
		}
		if !errors.Is(err, kv.ErrExists) && !errors.Is(err, kv.ErrUnknownOutcome) {
			return false, err
		}
		item, err := c.b.store.Get(ctx, c.key)
		switch {
		case errors.Is(err, kv.ErrNotFound): // it has just ended
		case err != nil:
			return false, err
		case string(item.Value) == done:
			return false, nil
		case string(item.Value) == c.value: // the answer was lost
			c.revision, c.until = item.Revision, sent.Add(c.b.claim)
			return true, nil
		case !strings.HasPrefix(string(item.Value), claimed):
			return false, fault.Markf(fault.Invalid, "key %q has a value that is no note", c.key)
		}
		if err := backoff.Sleep(ctx, polling.Wait(n)); err != nil {
			return false, err
		}
	}
}

// run calls f while the claim is renewed. If f fails, the claim is given up.
func (c *claim) run(ctx context.Context, f event.Handler, r *event.Record) (err error) {
	working, cancel := context.WithCancelCause(ctx)
	stop, kept := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(kept)
		c.keep(ctx, stop, cancel)
	}()
	failed := true
	defer func() { // a panic passes through
		close(stop)
		<-kept
		cancel(nil)
		if failed {
			c.giveUp(ctx)
		}
	}()
	err = f(working, r)
	failed = err != nil
	return err
}

var errLost = errors.New("the claim of the record was lost")

// keep renews the claim until stop, and ends the function's context when it can't
// be sure of it any more.
func (c *claim) keep(ctx context.Context, stop <-chan struct{}, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(c.b.claim / 3)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		err := fault.Guard(func() error { return c.renew(ctx) })
		switch {
		case err == nil:
		case errors.Is(err, kv.ErrConflict), errors.Is(err, kv.ErrNotFound), time.Until(c.until) <= c.b.claim/3: // the next tick is too late
			cancel(fault.Mark(fault.Lost, errLost))
			<-stop
			return
		}
	}
}

// renew makes the claim last longer. The answer to an earlier renewal may have been
// lost: then the revision is not the one that we know, and the claim is still ours.
func (c *claim) renew(ctx context.Context) error {
	bounded, end := context.WithDeadline(context.WithoutCancel(ctx), c.until)
	defer end()
	for range 2 {
		sent := time.Now()
		rev, err := c.b.store.Put(bounded, c.key, []byte(c.value), kv.IfRevision(c.revision), kv.TTL(c.b.claim))
		if err == nil {
			c.revision, c.until = rev, sent.Add(c.b.claim)
			return nil
		}
		item, err := c.b.store.Get(bounded, c.key)
		if err != nil {
			return err
		}
		if string(item.Value) != c.value {
			return kv.ErrConflict
		}
		c.revision = item.Revision
	}
	return kv.ErrUnknownOutcome // it is ours; the next tick says for how long
}

// giveUp lets the record be claimed again at once. If it fails, the claim expires.
func (c *claim) giveUp(ctx context.Context) {
	bounded, end := context.WithTimeout(context.WithoutCancel(ctx), c.b.claim)
	defer end()
	c.b.store.Delete(bounded, c.key, kv.IfRevision(c.revision))
}

// done notes that the record is handled. It tries until the claim is over.
func (c *claim) done(ctx context.Context) error {
	bounded, end := context.WithDeadline(context.WithoutCancel(ctx), c.until)
	defer end()
	for n := 0; ; n++ {
		_, err := c.b.store.Put(bounded, c.key, []byte(done), kv.IfRevision(c.revision), kv.TTL(c.b.keep))
		if err == nil {
			return nil
		}
		if item, e := c.b.store.Get(bounded, c.key); e == nil {
			switch string(item.Value) {
			case done:
				return nil
			case c.value: // renewed with an answer that was lost
				c.revision = item.Revision
			default:
				return fault.Mark(fault.Lost, errLost)
			}
		} else if errors.Is(e, kv.ErrNotFound) {
			return fault.Mark(fault.Lost, errLost)
		}
		if backoff.Sleep(bounded, polling.Wait(n)) != nil {
			return err
		}
	}
}
