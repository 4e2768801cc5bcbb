package kubernetes

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"

	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// claim is one attempt to hold a Lease:
//
//	look    read the Lease; make one that nobody holds if there is none
//	take    write the claim's identity, if nothing has changed since the look
//	renew   write the time, under the same condition
//	release write that nobody holds it, under the same condition
//
// The condition is the version of the object, which is never used twice. So a
// write that arrives late finds another version and does nothing, and a Lease
// that nobody holds may be made as late as it likes.
type claim struct {
	dsync.Request
	d        *driver
	name     string
	identity string

	mine     *lease // as it was when it was last seen to be held by the claim
	token    uint64
	granted  bool
	released bool   // a release was tried
	doubt    string // the version that a take, whose answer is not known, was about
}

func (c *claim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	l, known := c.d.idle.take(c.name)
	for tries := 0; ; tries++ {
		var err error
		if !known {
			l, err = c.look(ctx)
			if err != nil {
				return dsync.Grant{}, err
			}
		}
		g, left, err := c.take(ctx, l)
		known = false
		switch {
		case g.Token > 0:
			return g, nil
		case errors.Is(err, errChanged) && wait:
			return c.wait(ctx, 0)
		case errors.Is(err, errChanged) && tries < 10:
		case errors.Is(err, errChanged):
			return dsync.Grant{}, fault.Markf(dsync.ErrHeld, "others were faster, %d times", tries)
		case err != nil:
			return dsync.Grant{}, err
		case wait:
			return c.wait(ctx, left)
		default:
			owner, nonce := split(l.holder())
			return dsync.Grant{}, fault.Markf(dsync.ErrHeld, "owner %q, token %d", owner, l.token(nonce))
		}
	}
}

// look returns the Lease, or one that it makes.
func (c *claim) look(ctx context.Context) (*lease, error) {
	for range 3 {
		l, err := c.d.get(ctx, c.Timeout, c.name)
		if err != nil || l != nil {
			return l, err
		}
		l, err = c.d.create(ctx, c.Timeout, c.name, c.Key)
		if !errors.Is(err, fault.Exists) {
			return l, err
		}
	}
	return nil, fault.Markf(fault.Unavailable, "the Lease %s comes and goes", c.name)
}

// errChanged is a take of a Lease that is no longer as it was seen.
var errChanged = errors.New("changed meanwhile")

// take writes the claim into the Lease if nobody holds it, and returns the
// grant; else for how long the holder is to be believed.
func (c *claim) take(ctx context.Context, l *lease) (g dsync.Grant, left time.Duration, err error) {
	if l.holder() == c.identity { // an answer was lost
		return c.found(ctx, l)
	}
	left = c.d.sights.left(c.name, l)
	if left > 0 {
		return dsync.Grant{}, left, nil
	}
	next := *l
	now := stamp(l.Spec.Renewed)
	transitions := int64(1)
	if l.Spec.Transitions != nil {
		transitions += *l.Spec.Transitions
	}
	next.Spec = spec{Holder: &c.identity, Seconds: new(int64(c.TTL / time.Second)), Acquired: now, Renewed: now, Transitions: &transitions}
	start, before := time.Now(), c.doubt
	c.doubt = l.ResourceVersion
	got, err := c.d.update(ctx, c.Timeout, &next)
	switch {
	case err == nil:
		token, err := version(got)
		if err != nil {
			return dsync.Grant{}, 0, err
		}
		c.doubt, c.mine, c.token, c.granted = "", got, token, true
		return dsync.Grant{Token: token, Until: start.Add(c.TTL)}, 0, nil
	case errors.Is(err, fault.Conflict), errors.Is(err, fault.NotFound):
		c.doubt = before // an earlier take may still arrive
		return dsync.Grant{}, 0, errChanged
	case !errors.Is(err, fault.UnknownOutcome):
		c.doubt = before // nothing was sent, or it was refused
	}
	return dsync.Grant{}, 0, err
}

// found is the grant of a take whose answer was lost.
func (c *claim) found(ctx context.Context, l *lease) (dsync.Grant, time.Duration, error) {
	c.doubt, c.mine, c.token, c.granted = "", l, l.token(c.Nonce), true
	until, err := c.Renew(ctx)
	if err != nil {
		return dsync.Grant{}, 0, err
	}
	return dsync.Grant{Token: c.token, Until: until}, 0, nil
}

// version returns the number of an object's version. It is that of etcd's whole
// store, so it grows over a deletion of the object, unlike leaseTransitions.
func version(l *lease) (uint64, error) {
	n, err := strconv.ParseUint(l.ResourceVersion, 10, 64)
	if err != nil || n == 0 {
		return 0, fault.Markf(fault.Unsupported, "this API server's versions are no numbers, but %q: nothing can serve as fencing token", l.ResourceVersion)
	}
	return n, nil
}

func (c *claim) Renew(ctx context.Context) (time.Time, error) {
	for range 3 {
		next := *c.mine
		next.Spec.Renewed = stamp(c.mine.Spec.Renewed)
		next.annotate(tokenKey, tokenNote(c.Nonce, c.token))
		start := time.Now()
		got, err := c.d.update(ctx, c.Timeout, &next)
		switch {
		case err == nil:
			c.mine = got
			return start.Add(c.TTL), nil
		case errors.Is(err, fault.NotFound):
			return time.Time{}, fault.Markf(dsync.ErrLost, "the Lease was deleted")
		case !errors.Is(err, fault.Conflict):
			return time.Time{}, err
		}
		// Somebody wrote a label, or an earlier renewal's answer was lost.
		l, err := c.d.get(ctx, c.Timeout, c.name)
		switch {
		case err != nil:
			return time.Time{}, err
		case l.holder() != c.identity:
			return time.Time{}, gone(l)
		}
		c.mine = l
	}
	return time.Time{}, fault.Markf(fault.Unavailable, "the Lease %s is changed all the time", c.name)
}

// gone says why a claim no longer holds.
func gone(l *lease) error {
	if l == nil {
		return fault.Markf(dsync.ErrLost, "the Lease was deleted")
	}
	if l.holder() == "" {
		return fault.Markf(dsync.ErrLost, "somebody released it")
	}
	owner, _ := split(l.holder())
	return fault.Markf(dsync.ErrLost, "%q holds it", owner)
}

func (c *claim) Release(ctx context.Context) error {
	if !c.granted && c.doubt == "" {
		return nil
	}
	again := c.released
	c.released = true
	l := c.mine
	for range 5 {
		var err error
		if l == nil {
			l, err = c.d.get(ctx, c.Timeout, c.name)
			if err != nil {
				return err
			}
		}
		switch {
		case l.holder() == c.identity:
			err = c.let(ctx, l)
		case l != nil && l.ResourceVersion == c.doubt:
			err = c.spoil(ctx, l)
		case c.granted && !again:
			return gone(l)
		default:
			return nil
		}
		if !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.NotFound) {
			c.mine = nil // look before the next try, if there is one
			return err
		}
		l = nil
	}
	c.mine = nil
	return fault.Markf(fault.Unavailable, "the Lease %s is changed all the time", c.name)
}

// let writes that nobody holds the Lease, as client-go does.
func (c *claim) let(ctx context.Context, l *lease) error {
	next := *l
	now := stamp(l.Spec.Renewed)
	next.Spec = spec{Seconds: new(int64(1)), Acquired: now, Renewed: now, Transitions: l.Spec.Transitions}
	next.Annotations = maps.Clone(next.Annotations)
	delete(next.Annotations, tokenKey)
	got, err := c.d.update(ctx, c.Timeout, &next)
	if err == nil && !c.Watched {
		c.d.idle.put(got)
	}
	return err
}

// spoil gives a Lease another version, so that a take that may still arrive
// finds that it came too late.
func (c *claim) spoil(ctx context.Context, l *lease) error {
	next := *l
	if _, nonce := split(l.holder()); nonce != "" { // its token is the version that changes
		next.annotate(tokenKey, tokenNote(nonce, l.token(nonce)))
	}
	next.annotate(spoiltKey, c.Nonce)
	_, err := c.d.update(ctx, c.Timeout, &next)
	return err
}

// spoiltKey is the annotation of spoil.
const spoiltKey = "go-platform/spoilt"
