package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
)

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
		"not this client's token":       {auth.ErrDenied, nil, auth.ErrDenied},
		"not this client's, but a feed": {auth.ErrDenied, deaf{}, nil},
		"the authority is unavailable":  {away, deaf{}, auth.ErrUnavailable},
		"the authority doesn't know us": {auth.ErrUnauthenticated, deaf{}, auth.ErrUnauthenticated},
		"the feed is unavailable":       {nil, deaf{away}, auth.ErrUnavailable},
		"neither could":                 {auth.ErrUnsupported, deaf{away}, auth.ErrUnsupported},
		"neither could, the other's":    {auth.ErrUnsupported, deaf{away}, auth.ErrUnavailable},
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
		err = a.Revoke(t.Context(), &auth.Token{ID: "i"})
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: Revoke = %v, want %v", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: an error of several lines: %q", name, err)
		}
		if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrRevoked) {
			t.Errorf("%s: Verify here = %v, want ErrRevoked", name, err)
		}
		a.Close()
	}
}

// flaky is a feed that is unavailable until it is not.
type flaky struct {
	deaf
	mu    sync.Mutex
	tries int
	until int // this many tries fail
	got   []string
}

func (f *flaky) Publish(_ context.Context, r auth.Revocation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tries++; f.tries <= f.until {
		return fmt.Errorf("%w: feed", auth.ErrUnavailable)
	}
	f.got = append(f.got, r.ID)
	return nil
}

func (f *flaky) received() (ids []string, tries int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got), f.tries
}

// Whatever the number of tries that fail, every revocation reaches the feed, in
// its order and once.
func TestRevocationReachesAFeedThatComesBack(t *testing.T) {
	for _, failing := range []int{0, 1, 2, 3, 4, 7, 20} {
		synctest.Test(t, func(t *testing.T) {
			feed, f := &flaky{until: failing}, &fake{}
			a := f.open(t, auth.WithRevocations(feed))
			var later, want []string
			for i := range 3 {
				id := fmt.Sprint(i)
				err := a.Revoke(t.Context(), &auth.Token{ID: id, ExpiresAt: time.Now().Add(time.Hour)})
				if !errors.Is(err, auth.ErrUnsupported) && err != nil && !errors.Is(err, auth.ErrUnavailable) {
					t.Errorf("Revoke: %v", err)
				}
				if errors.Is(err, auth.ErrUnavailable) {
					later = append(later, id)
				} else {
					want = append(want, id)
				}
			}
			want = append(want, later...)
			time.Sleep(5 * time.Minute)
			if got, tries := feed.received(); !slices.Equal(got, want) || tries != failing+3 {
				t.Errorf("%d tries fail: the feed got %q in %d tries, want %q in %d", failing, got, tries, want, failing+3)
			}
			a.Close()
		})
	}
}

func TestRevocationOfAnExpiredTokenIsNotToldForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, f := &flaky{until: 1 << 30}, &fake{}
		a := f.open(t, auth.WithRevocations(feed))
		a.Revoke(t.Context(), &auth.Token{ID: "short", ExpiresAt: time.Now().Add(time.Minute)})
		time.Sleep(time.Minute + auth.MaxLeeway + 10*time.Second)
		_, before := feed.received()
		time.Sleep(time.Hour)
		if _, after := feed.received(); after != before || before < 10 {
			t.Errorf("%d tries, then %d when nobody takes the token any more", before, after)
		}
		feed.until = 0
		a.Revoke(t.Context(), &auth.Token{ID: "next"})
		if got, _ := feed.received(); !slices.Equal(got, []string{"next"}) {
			t.Errorf("the feed got %q, want the next alone", got)
		}
		a.Close()
	})
}

func TestCloseEndsTheTellingOfRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, f := &flaky{until: 1 << 30}, &fake{}
		a := f.open(t, auth.WithRevocations(feed))
		a.Revoke(t.Context(), &auth.Token{ID: "x", ExpiresAt: time.Now().Add(time.Hour)})
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		_, before := feed.received()
		time.Sleep(time.Minute)
		if _, after := feed.received(); after != before {
			t.Errorf("%d tries after Close", after-before)
		}
	})
}

// A verdict that is cached for longer than the revocation is remembered does not
// outlive it.
func TestARevokedTokenIsAskedAboutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", AccessToken: "x"}, nil
		}}
		a := f.open(t, auth.WithCacheTTL(48*time.Hour))
		token, err := a.Verify(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		ending := *token
		ending.ExpiresAt = time.Now().Add(24 * time.Hour) // says who revokes it
		a.Revoke(t.Context(), &ending)
		time.Sleep(25 * time.Hour)
		a.Revoke(t.Context(), &auth.Token{ID: "another"}) // clears away what has ended
		_, err = a.Verify(t.Context(), "x")
		if n := f.asked.Load(); err != nil || n != 2 {
			t.Errorf("asked %d times, want 2: %v", n, err)
		}
		a.Close()
	})
}

// A revocation lasts as long as anybody would accept the token: of one without
// an end it was forgotten after a day.
func TestRevocationLastsAsLongAsItsToken(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		life, after time.Duration // life 0: no end
		want        error
	}{
		"of an hour, within it":        {time.Hour, time.Hour - 1, auth.ErrRevoked},
		"of an hour, after its end":    {time.Hour, time.Hour + auth.MaxLeeway, auth.ErrExpired},
		"of two years, within them":    {730 * day, 730*day - 1, auth.ErrRevoked},
		"without an end, after a day":  {0, day + auth.MaxLeeway, auth.ErrRevoked},
		"without an end, after a year": {0, 400 * day, auth.ErrRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var end time.Time
				if c.life > 0 {
					end = time.Now().Add(c.life)
				}
				f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
					return &auth.Token{Subject: "a", AccessToken: c.Value, ExpiresAt: end}, nil
				}}
				a := f.open(t)
				token, err := a.Verify(t.Context(), "x")
				if err != nil {
					t.Fatal(err)
				}
				a.Revoke(t.Context(), token)
				time.Sleep(c.after)
				a.Revoke(t.Context(), &auth.Token{ID: "another"}) // clears away what has ended
				if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, c.want) {
					t.Errorf("Verify = %v, want %v", err, c.want)
				}
				a.Close()
			})
		})
	}
}

// flood is a feed that revokes many tokens without an end.
type flood struct {
	deaf
	many int
	told chan struct{}
}

func (f flood) Subscribe(ctx context.Context, each func(auth.Revocation)) error {
	for i := range f.many {
		each(auth.Revocation{ID: fmt.Sprint(i)})
	}
	close(f.told)
	<-ctx.Done()
	return ctx.Err()
}

// Who may publish revocations can make others forgotten of the same kind alone,
// and the log says so.
func TestMoreRevokedTokensThanAreRemembered(t *testing.T) {
	const most = 100_000
	for _, many := range []int{most, most + 1} {
		var log strings.Builder
		feed := flood{many: many, told: make(chan struct{})}
		f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", ID: string(c.Value), AccessToken: c.Value}, nil
		}}
		a := f.open(t, auth.WithRevocations(feed), auth.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err := a.Revoke(t.Context(), &auth.Token{ID: "ends", ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		<-feed.told
		if logged := strings.Contains(log.String(), "too many revoked tokens"); logged != (many > most) {
			t.Errorf("%d: the log has %q", many, log.String())
		}
		for id, want := range map[string]bool{"ends": true, "0": many == most, "1": true, fmt.Sprint(many - 1): true, fmt.Sprint(many): false} {
			if _, err := a.Verify(t.Context(), id); errors.Is(err, auth.ErrRevoked) != want {
				t.Errorf("%d: %s: %v, want revoked: %t", many, id, err, want)
			}
		}
		a.Close()
	}
}

// A token that is accepted for a while after its end is refused for as long
// once it was revoked, although later revocations clear away what has ended.
func TestRevokedTokenStaysRefusedThroughTheLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(time.Minute)
		f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", ID: "i", ExpiresAt: end}, nil
		}}
		a := f.open(t, auth.WithLeeway(auth.MaxLeeway), auth.WithCacheTTL(0))
		token, err := a.Verify(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + 4*time.Minute + 59*time.Second) // just within it
		if _, err := a.Verify(t.Context(), "x"); err != nil {
			t.Fatalf("within the leeway: %v", err)
		}
		a.Revoke(t.Context(), token)
		for i := range 3 {
			a.Revoke(t.Context(), &auth.Token{ID: fmt.Sprint("other", i), ExpiresAt: time.Now().Add(time.Hour)})
			if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrRevoked) {
				t.Errorf("revoked, within the leeway: %v, want ErrRevoked", err)
			}
		}
		a.Close()
	})
}

// chorus is a feed that calls from several goroutines at once.
type chorus struct {
	deaf
	told chan struct{}
}

func (c chorus) Subscribe(ctx context.Context, each func(auth.Revocation)) error {
	var wg sync.WaitGroup
	for _, id := range []string{"one", "two"} {
		wg.Go(func() { each(auth.Revocation{ID: id}) })
	}
	wg.Wait()
	close(c.told)
	<-ctx.Done()
	return ctx.Err()
}

func TestAFeedMayCallFromSeveralGoroutines(t *testing.T) {
	f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
		return &auth.Token{Subject: "a", ID: string(c.Value), AccessToken: c.Value}, nil
	}}
	feed := chorus{told: make(chan struct{})}
	a := f.open(t, auth.WithRevocations(feed))
	<-feed.told
	for raw, want := range map[string]error{"one": auth.ErrRevoked, "two": auth.ErrRevoked, "three": nil} {
		if _, err := a.Verify(t.Context(), raw); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", raw, err, want)
		}
	}
}
