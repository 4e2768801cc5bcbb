package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/internal/seldom"
)

// maxCredential bounds a raw credential before anybody looks into it.
const maxCredential = 16 << 10

// front is what is the same for every backend.
type front struct {
	*options
	scope   string // of errors: "auth/local"
	log     *slog.Logger
	driver  Driver
	life    *life.Life
	started time.Time

	accepted *verdicts
	refused  *lru[hash, refusal]
	denied   denials
	own      own
	untold   untold
	proofs   proofs
	lines    seldom.Gate // of the log that a flood could repeat
}

// verdict is a token that was accepted, until it has to be asked again.
type verdict struct {
	token *Token
	until time.Duration // since front.started
}

// refusedTTL bounds how long a refusal is believed.
const refusedTTL = 5 * time.Second

// refusal is a token that was not.
type refusal struct {
	err   error
	until time.Duration
}

// New returns an Auth. Without a backend it is an authority of its own within
// this process (see Authority): good for tests and for a start. Without rules it
// denies everything.
func New(opts ...Option) (Auth, error) {
	o, err := newOptions(opts)
	if err == nil {
		err = o.check()
	}
	if err != nil {
		return nil, fault.Wrap("auth", "new", "", err)
	}
	f := &front{
		options: o, scope: "auth/" + o.backend.Name, log: o.log, life: life.New(), started: o.now(),
		accepted: newVerdicts(maxVerdicts), refused: newLRU[hash, refusal](1024),
	}
	f.own.exchanged = newLRU[ownKey, *ownToken](maxExchanged)
	f.driver, err = o.backend.Open(f.scope, nil)
	if err != nil {
		return nil, err
	}
	if f.feed != nil {
		f.life.Go(f.hear)
	}
	return f, nil
}

func (o *options) now() time.Time {
	if o.clock != nil {
		return o.clock()
	}
	return time.Now()
}

// elapsed is the time since New: monotonic, and cheaper than the wall clock.
func (f *front) elapsed() time.Duration {
	if f.clock != nil {
		return f.clock().Sub(f.started)
	}
	return time.Since(f.started)
}

func (f *front) wrap(op, subject string, err error) error {
	return fault.Wrap(f.scope, op, subject, err)
}

// String names the backend.
func (f *front) String() string { return f.scope }

// Authorized implements Auth.
func (f *front) Authorized(ctx context.Context, req Request) (*Token, error) {
	t, d, err := f.authorize(ctx, req)
	if err != nil {
		f.tell(ctx, Refusal{Err: err, Request: req, Token: t, Decision: d})
		c, _ := CredentialFromContext(ctx)
		if strings.EqualFold(c.Scheme, "DPoP") {
			err = &shownError{err}
		}
	}
	return t, err
}

func (f *front) authorize(ctx context.Context, req Request) (*Token, Decision, error) {
	t, err := f.authenticate(ctx)
	if err != nil {
		return nil, Decision{}, f.wrap("authorize", subjectOf(req), err)
	}
	d, err := f.decide(ctx, t, req)
	if err == nil && d.Effect == Allow {
		return t, d, nil
	}
	if err != nil {
		d = Decision{Effect: Deny, Rule: d.Rule, Reason: "the decision failed: " + err.Error(), Revision: d.Revision}
	}
	if err != nil && fault.KindOf(err) == fault.Unavailable {
		return t, d, f.wrap("authorize", subjectOf(req), err)
	}
	text := d.Reason
	if d.Rule != "" {
		text += " (rule " + d.Rule + ")"
	}
	return t, d, fault.New(ErrDenied, f.scope, "authorize", subjectOf(req), "%s: %s", t.Subject, text)
}

func subjectOf(r Request) string {
	return short(strings.TrimSpace(strings.Join([]string{r.Service, r.Action, r.Resource}, " ")))
}

// decide asks the policy. Whatever goes wrong there is a denial.
func (f *front) decide(ctx context.Context, t *Token, req Request) (d Decision, err error) {
	if f.decider == nil {
		return Decision{Reason: "no rules"}, nil
	}
	defer func() {
		if p := recover(); p != nil {
			d, err = Decision{}, fmt.Errorf("panic: %v", p)
		}
	}()
	return f.decider.Decide(ctx, t, req)
}

// authenticate finds out who the caller in ctx is.
func (f *front) authenticate(ctx context.Context) (*Token, error) {
	if c, ok := CredentialFromContext(ctx); ok {
		return f.verify(ctx, c)
	}
	if f.life.Closed() {
		return nil, ErrClosed
	}
	t, ok := FromContext(ctx)
	if !ok {
		return nil, ErrNoCredential
	}
	if err := f.alive(t, hashOf(t.AccessToken)); err != nil {
		return nil, err
	}
	return t, nil
}

// Verify implements Auth.
func (f *front) Verify(ctx context.Context, raw string) (*Token, error) {
	t, err := f.verify(ctx, Credential{Value: Secret(raw)})
	return t, f.wrap("verify", "", err)
}

// verify checks a credential: the token, and that the caller may use it.
func (f *front) verify(ctx context.Context, c Credential) (*Token, error) {
	t, err := f.verdict(ctx, c)
	if err == nil {
		err = f.bound(t, c)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// verdict finds out about a token, from the cache or from the driver.
func (f *front) verdict(ctx context.Context, c Credential) (*Token, error) {
	if f.life.Closed() {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.Err != nil {
		return nil, c.Err
	}
	if c.TLS != nil && len(c.TLS.PeerCertificates) == 0 {
		c.TLS = nil // encrypted, but nobody has shown who calls
	}
	switch {
	case c.Value == "" && c.TLS == nil:
		return nil, ErrNoCredential
	case c.Scheme != "" && !strings.EqualFold(c.Scheme, "Bearer") && !strings.EqualFold(c.Scheme, "DPoP"): // a password of Basic is not a token
		return nil, fmt.Errorf("%w: the scheme is neither Bearer nor DPoP", ErrUnauthenticated)
	case len(c.Value) > maxCredential:
		return nil, fmt.Errorf("%w: a credential of %d bytes", ErrUnauthenticated, len(c.Value))
	}
	h, age := hashOf(c.Value), f.elapsed()
	key := h
	if c.TLS != nil {
		key = c.key(h)
	}
	if v, ok := f.accepted.of(key).get(key); ok && age < v.until {
		if err := f.alive(v.token, h); err != nil {
			return nil, err
		}
		return v.token, nil
	}
	if r, ok := f.refused.get(key); ok && age < r.until {
		return nil, r.err
	}
	t, err := f.ask(ctx, c, h)
	switch {
	case f.cacheTTL == 0:
	case err == nil:
		f.accepted.of(key).put(key, verdict{t, f.elapsed() + f.cacheTTL})
	case errors.Is(err, fault.Unauthenticated):
		f.refused.put(key, refusal{err, f.elapsed() + min(refusedTTL, f.cacheTTL)})
	}
	return t, err
}

// ask has the driver check a credential and then does what no driver needs to.
func (f *front) ask(ctx context.Context, c Credential, h hash) (*Token, error) {
	if !f.life.Enter() {
		return nil, ErrClosed
	}
	defer f.life.Leave()
	asked, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	t, err := f.driver.Verify(asked, c)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && errors.Is(err, context.DeadlineExceeded):
		return nil, fault.Mark(ErrUnavailable, err)
	case err != nil:
		return nil, err
	case t == nil:
		return nil, fault.Markf(ErrUnavailable, "the driver gave neither a token nor an error")
	case t.Subject == "" && t.ClientID == "":
		return nil, fmt.Errorf("%w: a token about nobody", ErrUnauthenticated)
	case !f.meant(t):
		return nil, fmt.Errorf("%w: the token of %.128q is for %s, want one of %q", ErrAudience, cmp.Or(t.Subject, t.ClientID), short(fmt.Sprintf("%q", t.Audience)), f.audiences)
	}
	if err := f.alive(t, h); err != nil {
		return nil, err
	}
	return t, nil
}

func (f *front) meant(t *Token) bool {
	return f.anyAudience || slices.ContainsFunc(f.audiences, func(a string) bool { return slices.Contains(t.Audience, a) })
}

// alive checks, at every use, what changes while a verdict is cached.
func (f *front) alive(t *Token, h hash) error {
	if f.denied.has(t, h) {
		return ErrRevoked
	}
	if t.ExpiresAt.IsZero() && t.NotBefore.IsZero() && t.IssuedAt.IsZero() {
		return nil
	}
	now := f.now()
	switch {
	case t.Expired(now.Add(-f.leeway)):
		return fmt.Errorf("%w at %s", ErrExpired, t.ExpiresAt.UTC().Format(time.RFC3339))
	case now.Add(f.leeway).Before(t.NotBefore), now.Add(f.leeway).Before(t.IssuedAt):
		return errFuture
	}
	return nil
}

// Close implements Auth.
func (f *front) Close() error {
	return f.wrap("close", "", f.life.Close(f.driver.Close))
}
