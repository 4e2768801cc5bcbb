package issuer_test

import (
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// newIssuer returns an issuer with cheap hashes, three services and a user.
func newIssuer(t testing.TB, opts ...issuer.Option) *issuer.Issuer {
	t.Helper()
	is, err := issuer.New(append([]issuer.Option{issuer.WithHashRounds(1000)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func seed(t testing.TB, is *issuer.Issuer) *issuer.Issuer {
	t.Helper()
	for _, id := range []string{"orders", "frontend", "billing"} {
		a := issuer.Account{ID: id, Type: issuer.Service, Roles: []string{"service"}, Scopes: []string{"read", "write"}, Audiences: []string{"orders", "frontend", "billing"}}
		if err := is.Create(t.Context(), a, id+"-secret"); err != nil {
			t.Fatal(err)
		}
	}
	if err := is.Create(t.Context(), issuer.Account{ID: "alice", Type: issuer.User, Roles: []string{"admin"}}, "alice-password"); err != nil {
		t.Fatal(err)
	}
	return is
}

func TestConformance(t *testing.T) {
	leak.Check(t)
	is := seed(t, newIssuer(t))
	authtest.Run(t, authtest.Harness{
		Auth: func(_ *testing.T, service string, opts ...auth.Option) (auth.Auth, error) {
			return auth.New(append([]auth.Option{issuer.Backend(is, service, service+"-secret"), auth.WithService(service)}, opts...)...)
		},
		Features: authtest.Features{Token: true, Audience: true, Exchange: true},
	})
}
