package auth_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
)

// Deciders and feeds as users write them: values that can't be compared, which panic or
// do not answer.
type (
	oddDecider struct {
		decide []func(context.Context) (auth.Decision, error)
	}
	oddFeed struct {
		publish   []func(context.Context) error
		subscribe func(context.Context, func(auth.Revocation)) error
	}
)

func (d oddDecider) Decide(ctx context.Context, _ *auth.Token, _ auth.Request) (auth.Decision, error) {
	return d.decide[0](ctx)
}
func (f oddFeed) Publish(ctx context.Context, _ auth.Revocation) error { return f.publish[0](ctx) }
func (f oddFeed) Subscribe(ctx context.Context, hear func(auth.Revocation)) error {
	return f.subscribe(ctx, hear)
}

// Whatever a policy of the user's own does but allow is a denial, and a function that is
// notified and panics lets nobody in.
func TestDecidersOfTheUsersOwn(t *testing.T) {
	boom := errors.New("boom")
	deny := func(context.Context) (auth.Decision, error) { return auth.Decision{Reason: "no"}, nil }
	for name, c := range map[string]struct {
		decide func(context.Context) (auth.Decision, error)
		opts   []auth.Option
		want   error
		reason string
		logged string // "": nothing
	}{
		"allows":  {func(context.Context) (auth.Decision, error) { return auth.Decision{Effect: auth.Allow}, nil }, nil, nil, "", ""},
		"denies":  {deny, nil, auth.ErrDenied, "no", ""},
		"nothing": {func(context.Context) (auth.Decision, error) { return auth.Decision{}, nil }, nil, auth.ErrDenied, "", ""},
		"allows with an error": {func(context.Context) (auth.Decision, error) { return auth.Decision{Effect: auth.Allow}, boom },
			nil, auth.ErrDenied, "boom", ""},
		"panics": {func(context.Context) (auth.Decision, error) { panic(boom) }, nil, auth.ErrDenied, "panic: boom", ""},
		"waits": {func(ctx context.Context) (auth.Decision, error) {
			<-ctx.Done()
			return auth.Decision{Effect: auth.Allow}, ctx.Err()
		},
			nil, auth.ErrDenied, "context deadline exceeded", ""},
		"what counts refusals panics": {deny, []auth.Option{auth.WithRefusals(func(context.Context, auth.Refusal) { panic(boom) })},
			auth.ErrDenied, "no", "WithRefusals"},
	} {
		for kind, d := range map[string]auth.Decider{
			"func":  auth.DeciderFunc(func(ctx context.Context, _ *auth.Token, _ auth.Request) (auth.Decision, error) { return c.decide(ctx) }),
			"slice": oddDecider{[]func(context.Context) (auth.Decision, error){c.decide}},
		} {
			synctest.Test(t, func(t *testing.T) {
				out := &lines{}
				f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
					return &auth.Token{Subject: "a", AccessToken: c.Value}, nil
				}}
				a := f.open(t, append(c.opts, auth.WithDecider(d), auth.WithLogger(slog.New(slog.NewTextHandler(out, nil))))...)
				for range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					_, err := a.Authorized(auth.ContextWithCredential(ctx, auth.Credential{Value: "x"}), auth.Request{Service: "s"})
					cancel()
					if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || err != nil && !strings.Contains(err.Error(), c.reason) {
						t.Errorf("%s, %s: %v, want %v with %q", name, kind, err, c.want, c.reason)
					}
				}
				said := 0
				for _, line := range out.take() {
					if strings.Contains(line, "the function of "+c.logged+" failed") {
						said++
					}
				}
				if c.logged == "" && said > 0 || c.logged != "" && (said < 1 || said > 5) {
					t.Errorf("%s, %s: the log says it %d times for 10 refusals", name, kind, said)
				}
			})
		}
	}
}

// A revocation that a feed did not take is told again in the background until it does,
// whatever the feed does meanwhile.
func TestRevocationFeedsOfTheUsersOwn(t *testing.T) {
	quiet := func(ctx context.Context, _ func(auth.Revocation)) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]oddFeed{
		"an error": {[]func(context.Context) error{func(context.Context) error { return errors.New("boom") }}, quiet},
		"panics":   {[]func(context.Context) error{func(context.Context) error { panic("boom") }}, quiet},
		"waits":    {[]func(context.Context) error{func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}, quiet},
		"subscribe panics": {[]func(context.Context) error{func(context.Context) error { return errors.New("boom") }},
			func(context.Context, func(auth.Revocation)) error { panic("boom") }},
		"subscribe returns": {[]func(context.Context) error{func(context.Context) error { return errors.New("boom") }},
			func(context.Context, func(auth.Revocation)) error { return nil }},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls, taken := 0, 0
			bad := c.publish[0]
			feed := oddFeed{[]func(context.Context) error{func(ctx context.Context) error {
				calls++
				if calls == 1 {
					return auth.ErrUnavailable // the caller's own
				}
				if calls < 4 {
					return bad(ctx)
				}
				taken++
				return nil
			}}, c.subscribe}
			f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
				return &auth.Token{Subject: "a", AccessToken: c.Value}, nil
			}}
			a := f.open(t, auth.WithRevocations(feed))
			token, err := a.Verify(t.Context(), "one")
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Revoke(t.Context(), token); !errors.Is(err, auth.ErrUnavailable) {
				t.Errorf("%s: %v, want %v", name, err, auth.ErrUnavailable)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if calls != 4 || taken != 1 {
				t.Errorf("%s: told %d times, and taken %d times, want 4 and once", name, calls, taken)
			}
			if _, err := a.Verify(t.Context(), "one"); !errors.Is(err, auth.ErrRevoked) {
				t.Errorf("%s: here the token gives %v, want %v", name, err, auth.ErrRevoked)
			}
		})
	}
}
