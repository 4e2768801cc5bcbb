package limits

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/router"
)

// State is where a limiter stands, in the terms of the RateLimit header
// fields (draft-ietf-httpapi-ratelimit-headers).
type State struct {
	// Policy is the limit's name, "" if it has none: see Named.
	Policy string
	// Limit is how many calls get through in a Window (q), 0 if that isn't known.
	Limit int64
	// Window is the time of Limit (w). It is 0 for a limit of calls in progress.
	Window time.Duration
	// Remaining is how many more would get through now (r).
	Remaining int64
	// Reset is how long until Remaining grows (t); 0 if it is full, or nobody knows.
	Reset time.Duration
}

// StateLimiter is a Limiter that can say where it stands: TokenBucket, Keyed,
// the Quota of router/kv, and PerKey, Waiting and Named around such. A server
// tells its callers, see package wrapper.
type StateLimiter interface {
	Limiter
	// State returns where the limiter stands for calls with ctx, without taking
	// anything. The zero State says nothing.
	State(ctx context.Context) State
}

// StateOf is l's State, or the zero State if l has none.
func StateOf(ctx context.Context, l Limiter) State {
	if s, ok := l.(StateLimiter); ok {
		return s.State(ctx)
	}
	return State{}
}

// Named gives a limiter the name by which its State and Errors, and
// so the RateLimit header fields, call it.
func Named(policy string, l Limiter) (Limiter, error) {
	if policy == "" || fronts.Nil(l) {
		return nil, fault.New(router.ErrInvalid, "router", "named limit", policy, "no name or nil limiter")
	}
	for _, r := range policy {
		if r < ' ' || r > '~' { // what a String of RFC 9651 holds
			return nil, fault.New(router.ErrInvalid, "router", "named limit", "", "name %q, want printable ASCII", policy)
		}
	}
	return named{policy, l}, nil
}

type named struct {
	policy string
	Limiter
}

func (n named) Acquire(ctx context.Context) (Permit, error) {
	p, err := acquire(ctx, n.Limiter)
	if limit, ok := err.(*Error); ok {
		again := *limit // it may be one that the limiter gives to everybody
		again.Policy = n.policy
		return nil, &again
	}
	return p, err
}

func (n named) State(ctx context.Context) State {
	s := StateOf(ctx, n.Limiter)
	s.Policy = n.policy
	return s
}
