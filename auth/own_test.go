package auth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
)

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
		if n := f.given.Load(); n < 5 || n > 60 { // every 2.5 s, on average
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
		time.Sleep(100*time.Minute - 10*time.Second - 1)
		for range 3 {
			if again, err := a.Token(t.Context()); again != first || err != nil {
				t.Errorf("Token = %v, %v, want the old one", again, err)
			}
			synctest.Wait()
		}
		time.Sleep(5 * time.Second) // past the pause after the failure
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

// The authority's, or a peer's: a token that was revoked is of no use.
func TestRevokedTokenIsNotGivenOut(t *testing.T) {
	ask := map[string][]auth.TokenOption{
		"plain": nil, "for an audience": {auth.Audience("orders")},
		"on behalf of a caller": {auth.Audience("orders"), auth.OnBehalfOf(&auth.Token{AccessToken: "alice"})},
	}
	for name, opts := range ask {
		for _, revoke := range []string{"here", "by another instance", "another token"} {
			synctest.Test(t, func(t *testing.T) {
				feed := &heard{told: make(chan auth.Revocation)}
				f := &fake{}
				var n int
				var previous []*auth.Token
				f.obtain = func(_ context.Context, r auth.TokenRequest) (*auth.Token, error) {
					n++
					previous = append(previous, r.Previous)
					return &auth.Token{AccessToken: auth.Secret(fmt.Sprint("t", n)), ID: fmt.Sprint("i", n), Issuer: "us", RefreshToken: "r", ExpiresAt: time.Now().Add(time.Hour)}, nil
				}
				a := f.open(t, auth.WithRevocations(feed))
				first, err := a.Token(t.Context(), opts...)
				if err != nil {
					t.Fatal(err)
				}
				switch revoke {
				case "here":
					if err := a.Revoke(t.Context(), first); err != nil {
						t.Fatal(err)
					}
				case "by another instance":
					feed.told <- auth.Revocation{Issuer: "us", ID: "i1", Expires: first.ExpiresAt}
				case "another token":
					feed.told <- auth.Revocation{Issuer: "others", ID: "i1", Expires: first.ExpiresAt}
				}
				synctest.Wait()
				next, err := a.Token(t.Context(), opts...)
				if changed := next != first; err != nil || changed != (revoke != "another token") {
					t.Errorf("%s, revoked %s: got %v, %v after %v", name, revoke, next, err, first)
				}
				if again, err := a.Token(t.Context(), opts...); again != next || err != nil {
					t.Errorf("%s, revoked %s: then %v, %v", name, revoke, again, err)
				}
				if len(previous) == 2 && previous[1] != nil {
					t.Errorf("%s, revoked %s: the revoked token was refreshed", name, revoke)
				}
				a.Close()
			})
		}
	}
}

// heard is a feed whose every revocation a test says.
type heard struct{ told chan auth.Revocation }

func (h *heard) Publish(context.Context, auth.Revocation) error { return nil }

func (h *heard) Subscribe(ctx context.Context, each func(auth.Revocation)) error {
	for {
		select {
		case r := <-h.told:
			each(r)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestAuthorityThatGivesARevokedTokenAgain(t *testing.T) {
	f := &fake{obtain: func(context.Context, auth.TokenRequest) (*auth.Token, error) {
		return &auth.Token{AccessToken: "same", ExpiresAt: time.Now().Add(time.Hour)}, nil
	}}
	a := f.open(t)
	token, err := a.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.Revoke(t.Context(), token)
	if got, err := a.Token(t.Context()); !errors.Is(err, auth.ErrUnavailable) || got != nil {
		t.Errorf("Token = %v, %v, want ErrUnavailable", got, err)
	}
}

// Processes that were refused together don't ask together.
func TestProcessesDoNotAskInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const processes = 60
		var mu sync.Mutex
		at := map[time.Duration]int{} // asked then, since the start
		began := time.Now()
		var wg sync.WaitGroup
		for range processes {
			f := &fake{obtain: func(context.Context, auth.TokenRequest) (*auth.Token, error) {
				mu.Lock()
				defer mu.Unlock()
				at[time.Since(began)]++
				return nil, auth.ErrUnavailable
			}}
			a := f.open(t)
			wg.Go(func() {
				for time.Since(began) < 30*time.Second {
					a.Token(t.Context())
					time.Sleep(10 * time.Millisecond)
				}
				a.Close()
			})
		}
		wg.Wait()
		for when, n := range at {
			if when > 2*time.Second && n > processes/4 {
				t.Errorf("%d of %d processes asked at %s", n, processes, when)
			}
		}
	})
}

// overloaded is the error of an authority that says when to come back.
type overloaded struct{ after time.Duration }

func (o overloaded) Error() string             { return "overloaded" }
func (o overloaded) Unwrap() error             { return auth.ErrUnavailable }
func (o overloaded) RetryAfter() time.Duration { return o.after }

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, c := range []struct{ asked, least, most time.Duration }{
		{0, 100 * time.Millisecond, 5 * time.Second},
		{time.Minute, time.Minute, 73 * time.Second},
		{24 * time.Hour, 5 * time.Minute, 6*time.Minute + time.Second}, // within reason
		{-time.Hour, 100 * time.Millisecond, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked []time.Time
			f := &fake{obtain: func(context.Context, auth.TokenRequest) (*auth.Token, error) {
				asked = append(asked, time.Now())
				return nil, overloaded{c.asked}
			}}
			a := f.open(t)
			for len(asked) < 2 {
				if _, err := a.Token(t.Context()); !errors.Is(err, auth.ErrUnavailable) {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if d := asked[1].Sub(asked[0]); d < c.least || d > c.most {
				t.Errorf("Retry-After of %s: asked again after %s, want %s to %s", c.asked, d, c.least, c.most)
			}
			a.Close()
		})
	}
}

// What an authority gives is a token, or it is an error of its kind.
func TestAnswersOfTheAuthority(t *testing.T) {
	for name, c := range map[string]struct {
		token *auth.Token
		err   error
		want  error
	}{
		"a token":     {&auth.Token{AccessToken: "t"}, nil, nil},
		"nothing":     {nil, nil, auth.ErrUnavailable},
		"no token":    {&auth.Token{}, nil, auth.ErrUnavailable},
		"an old one":  {&auth.Token{AccessToken: "t", ExpiresAt: time.Now().Add(-time.Second)}, nil, auth.ErrUnavailable},
		"a denial":    {nil, auth.ErrDenied, auth.ErrDenied},
		"a refusal":   {nil, auth.ErrUnauthenticated, auth.ErrUnauthenticated},
		"unsupported": {nil, auth.ErrUnsupported, auth.ErrUnsupported},
	} {
		f := &fake{obtain: func(context.Context, auth.TokenRequest) (*auth.Token, error) { return c.token, c.err }}
		token, err := f.open(t).Token(t.Context())
		if !errors.Is(err, c.want) || c.want == nil && err != nil || (token != nil) != (c.want == nil) || c.want != auth.ErrUnavailable && errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: %v, %v, want %v", name, token, err, c.want)
		}
	}
}

// The last moment at which a token is given out is ten seconds before its end.
func TestTheLastMomentOfAToken(t *testing.T) {
	for after, given := range map[time.Duration]bool{100*time.Minute - 10*time.Second - 1: true, 100*time.Minute - 10*time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{obtain: lasting(100 * time.Minute)}
			a := f.open(t)
			first, err := a.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			if next, err := a.Token(t.Context()); err != nil || (next == first) != given {
				t.Errorf("after %s: the same %t, %v, want %t", after, next == first, err, given)
			}
			a.Close()
		})
	}
}

func TestATokenWithoutAnEndIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{obtain: func(context.Context, auth.TokenRequest) (*auth.Token, error) {
			return &auth.Token{AccessToken: "t"}, nil
		}}
		a := f.open(t)
		for range 3 {
			if _, err := a.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1000 * time.Hour)
		}
		if n := f.given.Load(); n != 1 {
			t.Errorf("asked %d times, want 1", n)
		}
		a.Close()
		if token, err := a.Token(t.Context()); token != nil || !errors.Is(err, auth.ErrClosed) {
			t.Errorf("after Close: %v, %v, want ErrClosed", token, err)
		}
	})
}

// verifier is a driver that gives no tokens.
type verifier struct{ f *fake }

func (v verifier) Verify(ctx context.Context, c auth.Credential) (*auth.Token, error) {
	return v.f.Verify(ctx, c)
}
func (verifier) Close() error { return nil }

func TestADriverWithoutTokens(t *testing.T) {
	a, err := auth.New(auth.WithAnyAudience(), auth.WithDriver("mine", func(context.Context) (auth.Driver, error) { return verifier{}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if token, err := a.Token(t.Context()); token != nil || !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("Token = %v, %v, want ErrUnsupported", token, err)
	}
}

// Tokens are kept by audience and set of scopes.
func TestTokensAreKeptByWhatTheyAreFor(t *testing.T) {
	f := &fake{obtain: lasting(time.Hour)}
	a := f.open(t)
	ask := func(opts ...auth.TokenOption) *auth.Token {
		t.Helper()
		token, err := a.Token(t.Context(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	plain := ask()
	if ask(auth.Scopes()) != plain || ask(auth.Audience("")) != plain {
		t.Error("a token for nothing in particular is another one")
	}
	seen := map[*auth.Token]string{plain: "plain"}
	for name, opts := range map[string][]auth.TokenOption{
		"a scope": {auth.Scopes("a")}, "two scopes": {auth.Scopes("a", "b")}, "an audience": {auth.Audience("orders")},
		"an audience and a scope": {auth.Audience("orders"), auth.Scopes("a")}, "a caller": {auth.OnBehalfOf(&auth.Token{AccessToken: "x"})},
	} {
		token := ask(opts...)
		if other := seen[token]; other != "" {
			t.Errorf("%s: the token of %s", name, other)
		}
		seen[token] = name
		if ask(opts...) != token {
			t.Errorf("%s: another token the second time", name)
		}
	}
	if ask(auth.Scopes("b", "a", "b")) != ask(auth.Scopes("a", "b")) {
		t.Error("the order of scopes makes another token")
	}
}

// Audiences that a program makes of its callers' data are bounded, too: the
// first thousand are kept, and of the others the newest.
func TestTokensOfNamedAudiencesAreBounded(t *testing.T) {
	f := &fake{obtain: lasting(time.Hour)}
	a := f.open(t)
	ask := func(i int) {
		t.Helper()
		if _, err := a.Token(t.Context(), auth.Audience(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10_000 {
		ask(i)
	}
	for i, again := range map[int]int64{0: 0, 1023: 0, 1024: 1, 5000: 1, 9999: 0} {
		before := f.given.Load()
		if ask(i); f.given.Load()-before != again {
			t.Errorf("audience %d: the authority was asked %d times more, want %d", i, f.given.Load()-before, again)
		}
	}
}
