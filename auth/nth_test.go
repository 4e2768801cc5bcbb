package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/nth"
)

// planned is a driver with every ability behind a plan.
type planned struct {
	*fake
	p nth.Plan
}

func (d planned) Close() error { return d.p.Close(d.fake.Close) }

func (d planned) Ping(ctx context.Context) error {
	return nth.Check(ctx, d.p, "Ping", func(context.Context) error { return nil })
}

func (d planned) Verify(ctx context.Context, c auth.Credential) (*auth.Token, error) {
	return nth.Read(ctx, d.p, "Verify", func() (*auth.Token, error) { return d.fake.Verify(ctx, c) })
}

func (d planned) Obtain(ctx context.Context, r auth.TokenRequest) (*auth.Token, error) {
	return nth.Read(ctx, d.p, "Obtain", func() (*auth.Token, error) { return d.fake.Obtain(ctx, r) })
}

func (d planned) Revoke(ctx context.Context, t *auth.Token) error {
	return nth.Check(ctx, d.p, "Revoke", func(context.Context) error { return nil })
}

// Whatever call of the driver fails, and however: the caller gets an error and
// nothing else, it is no verdict that is kept, and the same again succeeds.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: auth.ErrUnavailable}, func(t *testing.T, p nth.Plan) nth.World {
		f := &fake{
			verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
				return &auth.Token{Subject: "a", AccessToken: c.Value, ExpiresAt: time.Now().Add(time.Hour)}, nil
			},
			obtain: lasting(time.Hour),
		}
		var (
			a    auth.Auth
			last *auth.Token
		)
		token := func(ctx context.Context, opts ...auth.TokenOption) (err error) {
			time.Sleep(time.Hour) // longer than the wait after a failure, and than the last one's life
			last, err = a.Token(ctx, opts...)
			if (last == nil) != (err != nil) {
				t.Errorf("got %v and %v", last, err)
			}
			return err
		}
		return nth.World{Steps: []nth.Step{
			{Name: "new", Do: func(context.Context) (err error) {
				a, err = auth.New(auth.WithAnyAudience(), auth.WithRules(auth.Rule{ID: "all", Effect: auth.Allow, Subjects: []string{"*"}}),
					auth.WithDriver("planned", func(context.Context) (auth.Driver, error) { p.Open(); return planned{f, p}, nil }))
				return err
			}},
			{Name: "verify", Do: func(ctx context.Context) error {
				got, err := a.Verify(ctx, "raw")
				if (got == nil) != (err != nil) {
					t.Errorf("got %v and %v", got, err)
				}
				return err
			}},
			{Name: "authorize", Do: func(ctx context.Context) error {
				got, err := a.Authorized(auth.ContextWithCredential(ctx, auth.Credential{Value: "another"}), auth.Request{Service: "s", Action: "x"})
				if (got == nil) != (err != nil) {
					t.Errorf("got %v and %v", got, err)
				}
				return err
			}},
			{Name: "token", Do: func(ctx context.Context) error { return token(ctx) }},
			{Name: "token for an audience", Do: func(ctx context.Context) error { return token(ctx, auth.Audience("b")) }},
			{Name: "revoke", Do: func(ctx context.Context) error { return a.Revoke(ctx, last) }},
			{Name: "close", Once: true, Do: func(context.Context) error { return a.Close() }},
		}}
	})
}
