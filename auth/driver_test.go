package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
)

// fake is a driver whose every answer a test decides.
type fake struct {
	verify func(ctx context.Context, c auth.Credential) (*auth.Token, error)
	obtain func(ctx context.Context, r auth.TokenRequest) (*auth.Token, error)
	asked  atomic.Int64
	given  atomic.Int64
	closed atomic.Int64
}

func (f *fake) Verify(ctx context.Context, c auth.Credential) (*auth.Token, error) {
	f.asked.Add(1)
	return f.verify(ctx, c)
}

func (f *fake) Obtain(ctx context.Context, r auth.TokenRequest) (*auth.Token, error) {
	f.given.Add(1)
	return f.obtain(ctx, r)
}

func (f *fake) Close() error { f.closed.Add(1); return nil }

func (f *fake) open(t *testing.T, opts ...auth.Option) auth.Auth {
	t.Helper()
	a, err := auth.New(append([]auth.Option{
		auth.WithDriver("fake", func(context.Context) (auth.Driver, error) { return f, nil }), auth.WithAnyAudience(),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// lasting gives tokens of a life, numbered.
func lasting(life time.Duration) func(context.Context, auth.TokenRequest) (*auth.Token, error) {
	var n atomic.Int64
	return func(context.Context, auth.TokenRequest) (*auth.Token, error) {
		return &auth.Token{AccessToken: auth.Secret(fmt.Sprint("t", n.Add(1))), ExpiresAt: time.Now().Add(life)}, nil
	}
}

func TestOwnTokenIsRenewedAheadOfItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{obtain: lasting(100 * time.Minute)}
		a := f.open(t)
		first, err := a.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(70 * time.Minute)
		if again, _ := a.Token(t.Context()); again != first {
			t.Error("renewed before it was due")
		}
		time.Sleep(12 * time.Minute) // 82 % of its life
		if still, _ := a.Token(t.Context()); still != first {
			t.Error("the caller was made to wait for the renewal")
		}
		synctest.Wait()
		if next, _ := a.Token(t.Context()); next == first {
			t.Error("not renewed in the background")
		}
		if n := f.given.Load(); n != 2 {
			t.Errorf("the authority was asked %d times, want 2", n)
		}
		a.Close()
	})
}

// A1: once its refresh token was dead, the original never asked for a new grant
// and kept on trying.
func TestRefusedRefreshFallsBackToAFreshGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refreshes, grants int
		f := &fake{}
		f.obtain = func(_ context.Context, r auth.TokenRequest) (*auth.Token, error) {
			if r.Previous != nil {
				refreshes++
				return nil, fmt.Errorf("%w: invalid_grant", auth.ErrUnauthenticated)
			}
			grants++
			return &auth.Token{AccessToken: auth.Secret(fmt.Sprint("t", grants)), RefreshToken: "r", ExpiresAt: time.Now().Add(time.Hour)}, nil
		}
		a := f.open(t)
		for range 3 {
			if _, err := a.Token(t.Context()); err != nil {
				t.Errorf("Token: %v", err)
			}
			time.Sleep(2 * time.Hour) // past its end, nobody having asked
		}
		if refreshes != 2 || grants != 3 {
			t.Errorf("%d refreshes and %d grants, want 2 and 3", refreshes, grants)
		}
		a.Close()
	})
}

func TestDeadAuthorityIsNotStormed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{obtain: func(context.Context, auth.TokenRequest) (*auth.Token, error) {
			return nil, fmt.Errorf("%w: refused", auth.ErrUnavailable)
		}}
		a := f.open(t)
		for range 6000 { // a minute of a hundred calls a second
			if _, err := a.Token(t.Context()); !errors.Is(err, auth.ErrUnavailable) {
				t.Fatalf("Token = %v, want ErrUnavailable", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := f.given.Load(); n < 5 || n > 30 {
			t.Errorf("the authority was asked %d times in a minute, want a few", n)
		}
		f.obtain = lasting(time.Hour)
		time.Sleep(5 * time.Second)
		if _, err := a.Token(t.Context()); err != nil {
			t.Errorf("Token once the authority is back: %v", err)
		}
		a.Close()
	})
}

func TestTokenIsGivenWhileTheAuthorityIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{obtain: lasting(100 * time.Minute)}
		a := f.open(t)
		first, err := a.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.obtain = func(context.Context, auth.TokenRequest) (*auth.Token, error) { return nil, auth.ErrUnavailable }
		time.Sleep(90 * time.Minute)
		for range 3 {
			if again, err := a.Token(t.Context()); again != first || err != nil {
				t.Errorf("Token = %v, %v, want the old one", again, err)
			}
			synctest.Wait()
		}
		time.Sleep(11 * time.Minute)
		if _, err := a.Token(t.Context()); !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("Token after its end = %v, want ErrUnavailable", err)
		}
		a.Close()
	})
}

// golang/oauth2#262 and #388: one caller's context must not end what others
// wait for.
func TestCallerWhoGivesUpTakesNothingFromTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{obtain: func(ctx context.Context, _ auth.TokenRequest) (*auth.Token, error) {
			select {
			case <-time.After(3 * time.Second):
				return &auth.Token{AccessToken: "t"}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		a := f.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			began := time.Now()
			if _, err := a.Token(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("impatient: %v after %s, want its own deadline", err, time.Since(began))
			}
		})
		for range 10 {
			wg.Go(func() {
				if _, err := a.Token(t.Context()); err != nil {
					t.Errorf("patient: %v", err)
				}
			})
		}
		wg.Wait()
		if n := f.given.Load(); n != 1 {
			t.Errorf("asked %d times, want 1", n)
		}
		a.Close()
	})
}

func TestTokensOfTooManyAudiencesAreForgotten(t *testing.T) {
	f := &fake{obtain: lasting(time.Hour)}
	a := f.open(t)
	for i := range 20_000 {
		if _, err := a.Token(t.Context(), auth.Audience(fmt.Sprint(i)), auth.OnBehalfOf(&auth.Token{AccessToken: "x"})); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Token(t.Context(), auth.Audience("0"), auth.OnBehalfOf(&auth.Token{AccessToken: "x"})); err != nil {
		t.Fatal(err)
	}
	if n := f.given.Load(); n != 20_001 {
		t.Errorf("asked %d times, want 20001: the oldest must have been forgotten", n)
	}
}

func TestVerdictIsCachedAndItsExpiryIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", AccessToken: c.Value, ExpiresAt: time.Now().Add(time.Minute)}, nil
		}}
		expires := time.Now().Add(time.Minute)
		f.verify = func(context.Context, auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", ExpiresAt: expires}, nil
		}
		a := f.open(t, auth.WithCacheTTL(time.Hour), auth.WithLeeway(0))
		for range 10 {
			if _, err := a.Verify(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
		}
		if n := f.asked.Load(); n != 1 {
			t.Errorf("asked %d times, want 1", n)
		}
		time.Sleep(time.Minute)
		if token, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrExpired) || token != nil {
			t.Errorf("Verify of a cached, expired token = %v, %v, want ErrExpired", token, err)
		}
		a.Close()
	})
}

func TestVerdictIsAskedAnewAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := false
		f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) {
			if revoked {
				return nil, auth.ErrRevoked
			}
			return &auth.Token{Subject: "a"}, nil
		}}
		a := f.open(t)
		a.Verify(t.Context(), "x")
		revoked = true
		if _, err := a.Verify(t.Context(), "x"); err != nil {
			t.Errorf("within the cache's time: %v", err)
		}
		time.Sleep(30 * time.Second)
		if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrRevoked) {
			t.Errorf("after it: %v, want ErrRevoked", err)
		}
		a.Close()
	})
}

func TestRefusalsAreCachedShortlyAndFailuresNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := error(auth.ErrUnauthenticated)
		f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return nil, answer }}
		a := f.open(t)
		for range 100 {
			a.Verify(t.Context(), "bad")
		}
		if n := f.asked.Load(); n != 1 {
			t.Errorf("a refused token was asked about %d times, want 1", n)
		}
		for i := range 5000 { // more than are kept: bounded, and the first is asked again
			a.Verify(t.Context(), fmt.Sprint("bad", i))
		}
		time.Sleep(6 * time.Second)
		answer = auth.ErrUnavailable
		before := f.asked.Load()
		for range 3 {
			if _, err := a.Verify(t.Context(), "bad"); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("Verify = %v, want ErrUnavailable", err)
			}
		}
		if n := f.asked.Load() - before; n != 3 {
			t.Errorf("asked %d times while unavailable, want 3: a failure must not be remembered", n)
		}
		a.Close()
	})
}

func TestDriversMistakesLetNobodyIn(t *testing.T) {
	for name, c := range map[string]struct {
		token *auth.Token
		err   error
		want  error
	}{
		"neither token nor error": {nil, nil, auth.ErrUnavailable},
		"about nobody":            {&auth.Token{}, nil, auth.ErrUnauthenticated},
		"token and error":         {&auth.Token{Subject: "a"}, errors.New("boom"), nil},
		"of the future":           {&auth.Token{Subject: "a", IssuedAt: time.Now().Add(time.Hour)}, nil, auth.ErrUnauthenticated},
		"not yet":                 {&auth.Token{Subject: "a", NotBefore: time.Now().Add(time.Hour)}, nil, auth.ErrUnauthenticated},
	} {
		f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return c.token, c.err }}
		a := f.open(t, auth.WithRules(auth.AllowAuthenticated()))
		token, err := a.Verify(t.Context(), "x")
		if err == nil || token != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: Verify = %v, %v, want %v", name, token, err, c.want)
		}
		if status, _ := auth.Challenge(err); status == 200 {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

func TestPolicyThatFailsDenies(t *testing.T) {
	f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return &auth.Token{Subject: "a"}, nil }}
	ctx := auth.ContextWithCredential(t.Context(), auth.Credential{Value: "x"})
	for name, c := range map[string]struct {
		decide auth.DeciderFunc
		want   error
	}{
		"panic": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) { panic("boom") }, auth.ErrDenied},
		"error beside allow": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) {
			return auth.Decision{Effect: auth.Allow}, errors.New("boom")
		}, auth.ErrDenied},
		"engine is away": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) {
			return auth.Decision{}, auth.ErrUnavailable
		}, auth.ErrUnavailable},
		"zero decision": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) { return auth.Decision{}, nil }, auth.ErrDenied},
		"unknown effect": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) {
			return auth.Decision{Effect: 7}, nil
		}, auth.ErrDenied},
	} {
		_, err := f.open(t, auth.WithDecider(c.decide)).Authorized(ctx, auth.Request{Service: "s", Action: "a"})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSlowAuthorityIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{verify: func(ctx context.Context, _ auth.Credential) (*auth.Token, error) { <-ctx.Done(); return nil, ctx.Err() }}
		a := f.open(t, auth.WithTimeout(2*time.Second))
		began := time.Now()
		if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrUnavailable) || time.Since(began) != 2*time.Second {
			t.Errorf("Verify = %v after %s, want ErrUnavailable after 2s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Verify(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("Verify with a deadline of its own = %v, want that", err)
		}
		a.Close()
	})
}

func TestCloseWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, ended := make(chan struct{}), false
		f := &fake{obtain: func(ctx context.Context, _ auth.TokenRequest) (*auth.Token, error) {
			close(began)
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
			return nil, ctx.Err()
		}}
		a := f.open(t)
		go a.Token(t.Context())
		<-began
		a.Close()
		if !ended || f.closed.Load() != 1 {
			t.Errorf("ended %t, driver closed %d times; want Close to wait", ended, f.closed.Load())
		}
	})
}

func TestBadOptionsAreErrors(t *testing.T) {
	driver := auth.WithDriver("fake", func(context.Context) (auth.Driver, error) { return &fake{}, nil })
	for name, opts := range map[string][]auth.Option{
		"nil":                     {nil},
		"two backends":            {driver, driver, auth.WithAnyAudience()},
		"no audience":             {driver},
		"any and some":            {driver, auth.WithAnyAudience(), auth.WithAudience("a")},
		"empty audience":          {auth.WithAudience("")},
		"empty service":           {auth.WithService("")},
		"rules twice":             {auth.WithRules(), auth.WithRules()},
		"a bad rule":              {auth.WithRules(auth.Rule{ID: "x", Effect: auth.Allow})},
		"nil policies":            {auth.WithPolicies(nil)},
		"nil decider":             {auth.WithDecider(nil)},
		"nil feed":                {auth.WithRevocations(nil)},
		"nil logger":              {auth.WithLogger(nil)},
		"nil clock":               {auth.WithClock(nil)},
		"nil local":               {auth.WithLocal(nil)},
		"negative timeout":        {auth.WithTimeout(-1)},
		"zero dial timeout":       {auth.WithDialTimeout(0)},
		"negative TTL":            {auth.WithCacheTTL(-1)},
		"no cache":                {auth.WithCacheSize(0)},
		"leeway of an hour":       {auth.WithLeeway(time.Hour)},
		"a driver without a name": {auth.WithDriver("", func(context.Context) (auth.Driver, error) { return nil, nil })},
	} {
		a, err := auth.New(opts...)
		if !errors.Is(err, auth.ErrInvalid) || a != nil || !strings.HasPrefix(err.Error(), "auth: new") {
			t.Errorf("%s: New = %v, %v, want ErrInvalid", name, a, err)
		}
	}
}

// pinging is a fake whose authority can be asked.
type pinging struct {
	fake
	ping func(context.Context) error
}

func (p *pinging) Ping(ctx context.Context) error { return p.ping(ctx) }

func TestNewAsksTheAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pinging{ping: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		driver := auth.WithDriver("fake", func(context.Context) (auth.Driver, error) { return p, nil })
		began := time.Now()
		_, err := auth.New(driver, auth.WithAnyAudience(), auth.WithDialTimeout(2*time.Second))
		if !errors.Is(err, auth.ErrUnavailable) || time.Since(began) != 2*time.Second || p.closed.Load() != 1 {
			t.Errorf("New = %v after %s, driver closed %d times; want ErrUnavailable after 2s and 1", err, time.Since(began), p.closed.Load())
		}
		a, err := auth.New(driver, auth.WithAnyAudience(), auth.WithLazy())
		if err != nil {
			t.Fatalf("New with WithLazy: %v", err)
		}
		a.Close()
	})
}

func TestTokenWithoutAnIDIsRevokedByItsHash(t *testing.T) {
	f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
		return &auth.Token{Subject: "a", AccessToken: c.Value}, nil
	}}
	a := f.open(t)
	token, err := a.Verify(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(t.Context(), "one"); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("the revoked token: %v, want ErrRevoked", err)
	}
	if _, err := a.Verify(t.Context(), "two"); err != nil {
		t.Errorf("another token: %v", err)
	}
}

// revoking is a fake whose authority answers Revoke.
type revoking struct {
	fake
	answer error
}

func (r *revoking) Revoke(context.Context, *auth.Token) error { return r.answer }

// deaf is a feed that nobody hears.
type deaf struct{ err error }

func (d deaf) Publish(context.Context, auth.Revocation) error { return d.err }

func (deaf) Subscribe(ctx context.Context, _ func(auth.Revocation)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestRevokeSaysWhoDoesNotKnow(t *testing.T) {
	away := fmt.Errorf("%w: feed", auth.ErrUnavailable)
	for name, c := range map[string]struct {
		authority error
		feed      auth.RevocationFeed
		want      error
	}{
		"told the authority":            {nil, nil, nil},
		"told the authority and a feed": {nil, deaf{}, nil},
		"told a feed alone":             {auth.ErrUnsupported, deaf{}, nil},
		"told nobody":                   {auth.ErrUnsupported, nil, auth.ErrUnsupported},
		"the authority refused":         {auth.ErrDenied, deaf{}, auth.ErrDenied},
		"the feed is away":              {nil, deaf{away}, auth.ErrUnavailable},
		"neither could":                 {auth.ErrUnsupported, deaf{away}, auth.ErrUnsupported},
	} {
		r := &revoking{answer: c.authority}
		r.verify = func(context.Context, auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", ID: "i"}, nil
		}
		opts := []auth.Option{auth.WithDriver("fake", func(context.Context) (auth.Driver, error) { return r, nil }), auth.WithAnyAudience()}
		if c.feed != nil {
			opts = append(opts, auth.WithRevocations(c.feed))
		}
		a, err := auth.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Revoke(t.Context(), &auth.Token{ID: "i"}); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: Revoke = %v, want %v", name, err, c.want)
		}
		if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrRevoked) {
			t.Errorf("%s: Verify here = %v, want ErrRevoked", name, err)
		}
		a.Close()
	}
}

func TestCachedPathsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, err := auth.New(auth.WithRules(auth.AllowAuthenticated()))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	token, err := a.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw := string(token.AccessToken)
	ctx := auth.ContextWithCredential(t.Context(), auth.Credential{Scheme: "Bearer", Value: token.AccessToken})
	for name, f := range map[string]func(){
		"Token":      func() { a.Token(t.Context()) },
		"Verify":     func() { a.Verify(t.Context(), raw) },
		"Authorized": func() { a.Authorized(ctx, auth.Request{Service: "s", Action: "GET", Resource: "/x"}) },
	} {
		f()
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A caller known by a certificate has no token: were all such callers one, they
// would be given each other's.
func TestExchangeNeedsTheCallersToken(t *testing.T) {
	f := &fake{obtain: lasting(time.Hour)}
	a := f.open(t)
	if token, err := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{Subject: "alice"})); !errors.Is(err, auth.ErrInvalid) || token != nil {
		t.Errorf("Token = %v, %v, want ErrInvalid", token, err)
	}
	one, err := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{AccessToken: "alice"}))
	if err != nil {
		t.Fatal(err)
	}
	two, err := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{AccessToken: "bob"}))
	if err != nil || one.AccessToken == two.AccessToken {
		t.Errorf("two callers got one token, %v", err)
	}
	if again, err := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{AccessToken: "alice"})); again != one || err != nil {
		t.Errorf("the same caller again: %v, %v", again, err)
	}
}
