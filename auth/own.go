package auth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// own holds this service's tokens: one per audience, scopes and caller.
type own struct {
	plain     ownToken                // of a call without options
	named     sync.Map                // ownKey → *ownToken, without a caller's token
	exchanged *lru[ownKey, *ownToken] // with one: as many as there are callers
	count     atomic.Int64            // of named
}

type ownKey struct {
	audience, scopes string
	subject          hash
}

const (
	// maxNamed bounds the audiences and scopes that a service asks for. A program
	// that makes them of its callers' data goes through the bounded cache.
	maxNamed     = 1024
	maxExchanged = 4096
)

// ownToken is one token and its renewal.
type ownToken struct {
	current atomic.Pointer[held] // nil before the first

	mu       sync.Mutex
	flight   *flight
	failures int
	failed   error     // of the last try
	retryAt  time.Time // not asked again before
}

// held is a token with the instants at which it is renewed and no longer given
// out, on the front's clock.
type held struct {
	token      *Token
	hash       hash          // of the raw token
	renew, end time.Duration // since front.started
	forever    bool
}

// revoked reports whether the token was revoked: nobody would accept it.
func (h *held) revoked(f *front) bool { return f.denied.has(h.token, h.hash) }

type flight struct {
	done  chan struct{}
	token *Token
	err   error
}

// Token implements Auth.
func (f *front) Token(ctx context.Context, opts ...TokenOption) (*Token, error) {
	if f.life.Closed() {
		return nil, f.wrap("token", "", ErrClosed)
	}
	if len(opts) == 0 {
		return f.ownToken(ctx, &f.own.plain, TokenRequest{Service: f.service})
	}
	r := TokenRequest{Service: f.service}
	for _, opt := range opts {
		if opt == nil {
			return nil, f.wrap("token", "", fmt.Errorf("%w: nil option", ErrInvalid))
		}
		opt(&r)
	}
	if r.Subject != nil && r.Subject.AccessToken == "" { // a client certificate: there is nothing to exchange, nor to tell callers apart by
		return nil, f.wrap("token", r.Audience, fmt.Errorf("%w: on behalf of a caller without a token", ErrInvalid))
	}
	slices.Sort(r.Scopes)
	r.Scopes = slices.Compact(r.Scopes)
	return f.ownToken(ctx, f.own.find(&r), r)
}

func (f *front) ownToken(ctx context.Context, o *ownToken, r TokenRequest) (*Token, error) {
	if h := o.current.Load(); h != nil && !h.revoked(f) {
		age := f.elapsed()
		if h.forever || age < h.renew {
			return h.token, nil
		}
		if age < h.end { // still good: renew behind the caller's back
			o.start(f, r)
			return h.token, nil
		}
	}
	t, err := o.wait(ctx, f, r)
	return t, f.wrap("token", r.Audience, err)
}

// find returns the place of a token.
func (w *own) find(r *TokenRequest) *ownToken {
	if r.Audience == "" && len(r.Scopes) == 0 && r.Subject == nil {
		return &w.plain
	}
	k := ownKey{audience: r.Audience, scopes: strings.Join(r.Scopes, " ")}
	if r.Subject != nil {
		k.subject = hashOf(r.Subject.AccessToken)
	} else if o, ok := w.named.Load(k); ok {
		return o.(*ownToken)
	}
	if r.Subject != nil || w.count.Load() >= maxNamed {
		return w.exchanged.getOrPut(k, func() *ownToken { return new(ownToken) })
	}
	o, loaded := w.named.LoadOrStore(k, new(ownToken))
	if !loaded {
		w.count.Add(1)
	}
	return o.(*ownToken)
}

// start begins a renewal unless one runs or the last one failed a moment ago.
// The flight belongs to the front, not to the caller who began it: a caller
// that gives up takes nothing from the others.
func (o *ownToken) start(f *front, r TokenRequest) (*flight, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flight != nil {
		return o.flight, nil
	}
	now := f.now()
	if o.failed != nil && now.Before(o.retryAt) {
		return nil, o.failed
	}
	if h := o.current.Load(); h != nil && !h.revoked(f) {
		if age := f.elapsed(); h.forever || age < h.renew { // somebody was faster
			return &flight{done: closed, token: h.token}, nil
		}
		r.Previous = h.token
	}
	fl := &flight{done: make(chan struct{})}
	ok := f.life.Go(func(life context.Context) {
		ctx, cancel := context.WithTimeout(life, f.timeout)
		defer cancel()
		t, err := f.obtain(ctx, r)
		o.finish(f, fl, t, fault.Late(life, f.timeout, err))
	})
	if !ok {
		return nil, ErrClosed
	}
	o.flight = fl
	return fl, nil
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (o *ownToken) finish(f *front, fl *flight, t *Token, err error) {
	fl.token, fl.err = t, err
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flight = nil
	if err != nil {
		wait := retries.Wait(o.failures)
		if asked := retryAfter(err); asked > 0 { // not all at the same instant, and not before it
			wait = max(wait, asked+rand.N(max(asked/5, retries.Min)))
		}
		o.failures++
		o.failed, o.retryAt = err, f.now().Add(wait)
		f.log.Warn("auth: own token not renewed", "error", err, "retry_in", wait)
	} else {
		o.failures, o.failed = 0, nil
		o.current.Store(f.hold(t))
	}
	close(fl.done)
}

// maxRetryAfter bounds what an authority may ask for.
const maxRetryAfter = 5 * time.Minute

// retryAfter is how long an authority that is overloaded wants to be left alone,
// as an error of a Source says it by a method RetryAfter.
func retryAfter(err error) time.Duration {
	var later interface{ RetryAfter() time.Duration }
	if !errors.As(err, &later) {
		return 0
	}
	return min(later.RetryAfter(), maxRetryAfter)
}

// hold works out when a token is renewed: at 80 % of its life, a little earlier
// in some processes than in others, and given out until shortly before its end.
func (f *front) hold(t *Token) *held {
	if t.ExpiresAt.IsZero() {
		return &held{token: t, hash: hashOf(t.AccessToken), forever: true}
	}
	life := t.ExpiresAt.Sub(f.now())
	age := f.elapsed()
	margin := min(life/10, 10*time.Second)
	early := rand.N(max(life/20, 1))
	return &held{token: t, hash: hashOf(t.AccessToken), renew: age + life*8/10 - early, end: age + life - margin}
}

// wait joins the flight for as long as ctx allows.
func (o *ownToken) wait(ctx context.Context, f *front, r TokenRequest) (*Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fl, err := o.start(f, r)
	if err != nil {
		return nil, err
	}
	select {
	case <-fl.done:
		return fl.token, fl.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// obtain asks the authority. A refresh that is refused falls back to a fresh
// grant: a dead refresh token must not lock a service out for good.
func (f *front) obtain(ctx context.Context, r TokenRequest) (t *Token, err error) {
	s, ok := f.driver.(source)
	if !ok {
		return nil, fault.Markf(ErrUnsupported, "%s gives no tokens", f.backend.Name)
	}
	ask := func() error { // on a goroutine that the callers share
		return fault.Guard(func() (err error) { t, err = s.Obtain(ctx, r); return err })
	}
	err = ask()
	if err != nil && r.Previous != nil && ctx.Err() == nil && fault.KindOf(err) != fault.Unavailable {
		r.Previous = nil
		err = ask()
	}
	if err != nil {
		return nil, err
	}
	if t == nil || t.AccessToken == "" || t.Expired(f.now()) {
		return nil, fault.Markf(ErrUnavailable, "the authority gave no usable token")
	}
	if f.denied.has(t, hashOf(t.AccessToken)) {
		return nil, fault.Markf(ErrUnavailable, "the authority gave a token that was revoked")
	}
	return t, nil
}
