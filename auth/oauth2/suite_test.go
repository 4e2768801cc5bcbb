package oauth2_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// serve runs an issuer of our own with three services, a web client and a user.
func serve(t *testing.T, opts ...issuer.Option) (*issuer.Issuer, *httptest.Server) {
	t.Helper()
	var is *issuer.Issuer
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { is.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	is, err := issuer.New(append([]issuer.Option{issuer.WithURL(srv.URL), issuer.WithHashRounds(1000)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"orders", "frontend", "billing"} {
		a := issuer.Account{ID: id, Type: issuer.Service, Roles: []string{"service"}, Scopes: []string{"read", "write"}, Introspects: true, Audiences: []string{issuer.AnyAudience}}
		if err := is.Create(t.Context(), a, id+"-secret"); err != nil {
			t.Fatal(err)
		}
	}
	if err := is.Create(t.Context(), issuer.Account{ID: "alice", Type: issuer.User, Roles: []string{"admin"}}, "alice-password"); err != nil {
		t.Fatal(err)
	}
	return is, srv
}

func TestConformance(t *testing.T) {
	for name, opts := range map[string][]oauth2.Option{"key set": nil, "introspection": {oauth2.WithIntrospection()}} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			_, srv := serve(t)
			authtest.Run(t, authtest.Harness{
				Auth: func(_ *testing.T, service string, more ...auth.Option) (auth.Auth, error) {
					o := append([]oauth2.Option{oauth2.WithCredentials(service, service+"-secret")}, opts...)
					return auth.New(append([]auth.Option{oauth2.Backend(srv.URL, o...), auth.WithService(service)}, more...)...)
				},
				Features: authtest.Features{Token: true, Audience: true, Exchange: true},
			})
		})
	}
}
