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
