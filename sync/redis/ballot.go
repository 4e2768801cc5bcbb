package redis

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

func (q *quorum) Claim(r dsync.Request) dsync.Claim { return &ballot{Request: r, q: q} }

// ballot is a claim that needs more than half of the servers. A try that
// doesn't get them is taken back, and the next one is a claim of its own, so
// that nothing of the old one can be in its way.
type ballot struct {
	dsync.Request
	q     *quorum
	tries int
	now   []*claim // one for each server; nil before the first try
	sure  []bool   // that no request to acquire is on its way
}

// door is how long the other servers are held back until the first has
// answered, when several are expected to try at once.
const door = 20 * time.Millisecond

// try asks all servers at once. Of many who do so each would get some, and
// none enough. With crowd therefore the first server is asked before the
// others, which are left alone if it refuses; one that is unavailable holds nobody up.
func (b *ballot) try(ctx context.Context, crowd bool) (a answer, err error) {
	r := b.Request
	r.Nonce += "." + strconv.Itoa(b.tries)
	b.tries++
	b.now, b.sure = make([]*claim, len(b.q.nodes)), make([]bool, len(b.q.nodes))
	for i := range b.now {
		b.now[i] = newClaim(r, nil)
	}
	sent := time.Now()
	granted := func(v vote[answer]) bool { return v.err == nil && v.say.granted }
	now := b.now // a server that is slow may answer after the next try
	limit := min(b.Timeout, b.TTL/4)
	ctx, detach := detachable(ctx)
	defer detach()
	passed, shut := make(chan struct{}), make(chan struct{})
	var sealed atomic.Uint64
	votes := ask(b.q, func(i int, n *node) (answer, error) {
		if crowd && i > 0 {
			select {
			case <-passed:
			case <-time.After(door):
			case <-shut:
				return answer{left: b.TTL}, nil
			}
		}
		a, err := n.acquire(bound(ctx, limit), now[i])
		if token := sealed.Load(); token > 0 && err == nil && a.granted && a.token != token { // later than the others
			_, _ = n.agree(bound(ctx, limit), now[i], token)
		}
		switch {
		case i > 0:
		case err == nil && !a.granted:
			close(shut)
		default:
			close(passed)
		}
		return a, err
	},
		func(v []vote[answer]) bool {
			left := len(b.q.nodes) - len(v)
			if count(v, denied) > 0 { // whether a majority denies, all of them say
				return count(v, granted) >= b.q.need
			}
			return count(v, granted) >= b.q.need || count(v, granted)+left < b.q.need
		})
	for _, v := range votes {
		b.sure[v.at] = v.err == nil || clean(v.err)
	}
	if err := ctx.Err(); err != nil {
		return a, err // the front releases
	}
	if count(votes, granted) >= b.q.need {
		a.token, err = b.seal(ctx, votes, &sealed)
		if err == nil {
			a.granted, a.sent = true, sent
			return a, nil
		}
		return a, b.takeBack(ctx, err)
	}
	a.left = b.TTL
	b.q.refused.Store(sent.UnixNano())
	for _, v := range votes {
		switch {
		case errors.Is(v.err, fault.Conflict):
			return a, b.takeBack(ctx, v.err)
		case v.err == nil && !v.say.granted:
			a.left, a.holder = min(a.left, v.say.left), v.say.holder
		}
	}
	if count(votes, answered[answer]) < b.q.need {
		return a, b.takeBack(ctx, lacking(fault.Unavailable, votes))
	}
	return a, b.takeBack(ctx, nil)
}

// seal makes the token the same on more than half of the servers: the next
// majority, which has one of them, gives a larger one, and who asks for the
// holder hears of one. It is the largest that was given; sealed tells it to a
// server whose answer comes later.
func (b *ballot) seal(ctx context.Context, votes []vote[answer], sealed *atomic.Uint64) (token uint64, err error) {
	for _, v := range votes {
		if v.err == nil {
			token = max(token, v.say.token)
		}
	}
	sealed.Store(token)
	limit := min(b.Timeout, b.TTL/4)
	now := b.now
	agreed := ask(b.q, func(i int, n *node) (bool, error) { return n.agree(bound(ctx, limit), now[i], token) },
		func(v []vote[bool]) bool { return count(v, yes) >= b.q.need })
	if count(agreed, yes) < b.q.need {
		return 0, fault.Markf(fault.Unavailable, "granted, but lost before the token was agreed: %v", errs(agreed))
	}
	return token, nil
}

// takeBack ends a try and returns why, unless that fails: then the front has to
// go on with it.
func (b *ballot) takeBack(ctx context.Context, why error) error {
	if err := b.Release(ctx); err != nil && !errors.Is(err, fault.Lost) {
		return fault.Markf(fault.UnknownOutcome, "%v, after: %v", err, why)
	}
	return why
}

func (b *ballot) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	a, err := b.try(ctx, b.q.crowded())
	switch {
	case err != nil:
		return dsync.Grant{}, err
	case a.granted:
		return dsync.Grant{Token: a.token, Until: a.sent.Add(b.TTL)}, nil
	case !wait:
		return dsync.Grant{}, held(a)
	}
	messages, leave := b.q.listen(b.Key)
	defer leave()
	due := time.NewTimer(min(a.left, firstWait))
	defer due.Stop()
	for split := 0; ; {
		woken := false
		select {
		case m := <-messages:
			if m == "granted" {
				continue
			}
			woken = true
		case <-due.C: // not by the door: its server may be the one that still has a dead claim
		case <-ctx.Done():
			return dsync.Grant{}, ctx.Err()
		}
		a, err := b.try(ctx, woken)
		switch {
		case err == nil && a.granted:
			return dsync.Grant{Token: a.token, Until: a.sent.Add(b.TTL)}, nil
		case ctx.Err() != nil:
			return dsync.Grant{}, ctx.Err()
		case errors.Is(err, fault.Conflict), errors.Is(err, fault.Denied):
			return dsync.Grant{}, err
		case errors.Is(err, fault.UnknownOutcome): // not taken back: the front goes on with it
			return dsync.Grant{}, fault.Markf(fault.Lost, "%v", err)
		}
		// Several who try at once may each get some of the servers: come back
		// at different times.
		due.Reset(min(a.left+time.Millisecond, backoff.Policy{Min: 5 * time.Millisecond, Max: time.Second}.Wait(split)))
		split++
	}
}

func (b *ballot) Renew(ctx context.Context) (time.Time, error) {
	sent := time.Now()
	now := b.now
	votes := ask(b.q, func(i int, n *node) (bool, error) { return n.renew(bound(ctx, b.TTL/4), now[i]) },
		func(v []vote[bool]) bool { return count(v, yes) >= b.q.need || count(v, no) > len(b.q.nodes)-b.q.need })
	switch {
	case count(votes, yes) >= b.q.need:
		return sent.Add(b.TTL), nil
	case count(votes, no) > len(b.q.nodes)-b.q.need:
		return time.Time{}, fault.Markf(fault.Lost, "too few of the servers have the claim")
	}
	return time.Time{}, lacking(fault.Unavailable, votes)
}

// Release is done when more than half have released; what a server that is unavailable
// keeps ends with its TTL.
func (b *ballot) Release(ctx context.Context) error {
	if b.now == nil {
		return nil
	}
	now, sure := b.now, b.sure
	votes := ask(b.q, func(i int, n *node) (bool, error) {
		return n.release(bound(context.WithoutCancel(ctx), b.Timeout), now[i], !sure[i])
	},
		func([]vote[bool]) bool { return ctx.Err() != nil })
	switch {
	case count(votes, answered[bool]) < b.q.need:
		return lacking(fault.UnknownOutcome, votes)
	case count(votes, no) > len(b.q.nodes)-b.q.need:
		return dsync.ErrLost
	}
	return nil
}
