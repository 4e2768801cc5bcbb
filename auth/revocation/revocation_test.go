package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/revocation"
	"github.com/micro/go-platform/event"
	eventredis "github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func open(t *testing.T, local *auth.Authority, s event.Stream) auth.Auth {
	t.Helper()
	a, err := auth.New(auth.Local(local), auth.WithService("orders"), auth.WithCacheTTL(time.Hour), auth.WithRevocations(revocation.Feed(s)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestRevocationReachesTheOtherInstances(t *testing.T) {
	for name, backend := range map[string]func(t *testing.T) []event.Option{
		"memory": func(*testing.T) []event.Option { return nil },
		"redis": func(t *testing.T) []event.Option {
			return []event.Option{eventredis.Backend(servertest.SharedRedis(t).Addr()), event.WithNamespace(t.Name()[:4] + "revocation")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			stream := func() event.Stream {
				s, err := event.New(backend(t)...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close(context.Background()) })
				return s
			}
			local, one := auth.NewAuthority(), stream()
			two := one
			if name != "memory" {
				two = stream() // as in another process
			}
			a, b := open(t, local, one), open(t, local, two)
			token, err := local.Issue("alice", "orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			other, err := local.Issue("alice", "orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, raw := range []auth.Secret{token.AccessToken, other.AccessToken} { // cached for an hour
				if _, err := b.Verify(t.Context(), string(raw)); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Revoke(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			refused := func(who auth.Auth) {
				t.Helper()
				for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
					_, err := who.Verify(t.Context(), string(token.AccessToken))
					if errors.Is(err, auth.ErrRevoked) {
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("Verify = %v, want ErrRevoked", err)
					}
				}
			}
			refused(b)
			refused(open(t, local, two)) // one that starts later
			if _, err := b.Verify(t.Context(), string(other.AccessToken)); err != nil {
				t.Errorf("another token of the same subject: %v", err)
			}
		})
	}
}

// A revocation that is made while Redis is down is heard by the other instances
// when it is back.
func TestRevocationMadeWhileRedisIsDown(t *testing.T) {
	leak.Check(t)
	server := servertest.Redis(t)
	stream := func() event.Stream {
		s, err := event.New(eventredis.Backend(server.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(context.Background()) })
		return s
	}
	local := auth.NewAuthority()
	a, b := open(t, local, stream()), open(t, local, stream())
	issue := func() *auth.Token {
		token, err := local.Issue("alice", "orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Verify(t.Context(), string(token.AccessToken)); err != nil {
			t.Fatal(err)
		}
		return token
	}
	refused := func(token *auth.Token) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			_, err := b.Verify(t.Context(), string(token.AccessToken))
			if errors.Is(err, auth.ErrRevoked) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("Verify at the other instance = %v, want ErrRevoked", err)
			}
		}
	}
	before, during, other := issue(), issue(), issue()
	if err := a.Revoke(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	refused(before)
	server.Stop()
	if err := a.Revoke(t.Context(), during); !errors.Is(err, auth.ErrUnavailable) && !errors.Is(err, event.ErrUnknownOutcome) {
		t.Errorf("Revoke while Redis is down: %v, want an error that says so", err)
	}
	if _, err := a.Verify(t.Context(), string(during.AccessToken)); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("here, while Redis is down: %v, want ErrRevoked", err)
	}
	server.Restart()
	refused(during)
	if _, err := b.Verify(t.Context(), string(other.AccessToken)); err != nil {
		t.Errorf("another token: %v", err)
	}
}

func ExampleFeed() {
	ctx := context.Background()
	stream, err := event.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Close(ctx)
	local := auth.NewAuthority()
	au, err := auth.New(auth.Local(local), auth.WithService("orders"), auth.WithRevocations(revocation.Feed(stream)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer au.Close()
	token, err := local.Issue("alice", "orders", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(au.Revoke(ctx, token))
	_, err = au.Verify(ctx, string(token.AccessToken))
	fmt.Println(errors.Is(err, auth.ErrRevoked))
	// Output:
	// <nil>
	// true
}
