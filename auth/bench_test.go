package auth_test

import (
	"testing"

	"github.com/micro/go-platform/auth"
)

func BenchmarkCachedVerify(b *testing.B) {
	a, raw := benchAuth(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthorized(b *testing.B) {
	a, raw := benchAuth(b)
	ctx := auth.ContextWithCredential(b.Context(), auth.Credential{Value: auth.Secret(raw)})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authorized(ctx, auth.Request{Action: "GET", Resource: "/x"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOwnToken(b *testing.B) {
	a, _ := benchAuth(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := a.Token(b.Context()); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkOwnTokenForAudience(b *testing.B) {
	a, _ := benchAuth(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := a.Token(b.Context(), auth.Audience("billing")); err != nil {
				b.Error(err)
			}
		}
	})
}

func benchAuth(b *testing.B) (auth.Auth, string) {
	a, err := auth.New(auth.WithRules(auth.AllowAuthenticated()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	t, err := a.Token(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return a, string(t.AccessToken)
}
