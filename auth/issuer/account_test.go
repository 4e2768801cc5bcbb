package issuer_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

func TestAccounts(t *testing.T) {
	is := newIssuer(t)
	ctx := t.Context()
	long := strings.Repeat("x", 100)
	if err := is.Create(ctx, issuer.Account{ID: "Ann/ß", Type: issuer.User, Metadata: map[string]string{"k": "v"}}, long+"1"); err != nil {
		t.Fatal(err)
	}
	if err := is.Create(ctx, issuer.Account{ID: "Ann/ß", Type: issuer.User}, "y"); !errors.Is(err, issuer.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	if err := is.Create(ctx, issuer.Account{ID: "ann/ß", Type: issuer.Service, Roles: []string{"r"}}, "y"); err != nil {
		t.Errorf("an id that differs in case: %v", err)
	}
	a, err := is.Read(ctx, "Ann/ß")
	if err != nil || a.Metadata["k"] != "v" || a.Created.IsZero() {
		t.Errorf("Read = %+v, %v", a, err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := is.Update(ctx, "Ann/ß", func(a *issuer.Account) error { a.Roles = append(a.Roles, fmt.Sprint(i)); a.ID = "x"; return nil }); err != nil {
				t.Errorf("Update: %v", err)
			}
		})
	}
	wg.Wait()
	if a, _ = is.Read(ctx, "Ann/ß"); len(a.Roles) != 20 || a.ID != "Ann/ß" {
		t.Errorf("20 updates left %+v", a)
	}
	if err := is.Update(ctx, "nobody", func(*issuer.Account) error { return nil }); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Update of nobody: %v", err)
	}
	for name, c := range map[string]struct {
		q    issuer.Query
		want string
	}{
		"all":     {issuer.Query{}, "[Ann/ß ann/ß]"},
		"by type": {issuer.Query{Type: issuer.User}, "[Ann/ß]"},
		"by role": {issuer.Query{Role: "r"}, "[ann/ß]"},
		"prefix":  {issuer.Query{Prefix: "ann"}, "[ann/ß]"},
		"limit":   {issuer.Query{Limit: 1}, "[Ann/ß]"},
		"after":   {issuer.Query{Limit: 1, After: "Ann/ß"}, "[ann/ß]"},
	} {
		got, err := is.Search(ctx, c.q)
		ids := []string{}
		for _, a := range got {
			ids = append(ids, a.ID)
		}
		if err != nil || fmt.Sprint(ids) != c.want {
			t.Errorf("%s: %v, %v, want %s", name, ids, err, c.want)
		}
	}
	// A6: beyond 44 bytes the original's secrets were all alike.
	for secret, want := range map[string]int{"y": 200, "z": 401} {
		if status, _ := post(is, "/token", "ann/ß", secret, url.Values{"grant_type": {"client_credentials"}}); status != want {
			t.Errorf("secret %q: %d, want %d", secret, status, want)
		}
	}
	if err := is.SetSecret(ctx, "ann/ß", long+"1"); err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string]int{long + "1": 200, long + "2": 401, "y": 401} {
		if status, _ := post(is, "/token", "ann/ß", secret, url.Values{"grant_type": {"client_credentials"}}); status != want {
			t.Errorf("secret of %d bytes: %d, want %d", len(secret), status, want)
		}
	}
	if err := is.Delete(ctx, "Ann/ß"); err != nil {
		t.Error(err)
	}
	if _, err := is.Read(ctx, "Ann/ß"); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Read of a deleted one: %v", err)
	}
	for name, a := range map[string]issuer.Account{
		"no id":             {Type: issuer.User},
		"no type":           {ID: "x"},
		"line break":        {ID: "x\ny", Type: issuer.User},
		"user with URI":     {ID: "x", Type: issuer.User, RedirectURIs: []string{callback}},
		"http redirect":     {ID: "x", Type: issuer.Service, RedirectURIs: []string{"http://example.com/"}},
		"script":            {ID: "x", Type: issuer.Service, RedirectURIs: []string{"javascript:alert(1)"}},
		"fragment":          {ID: "x", Type: issuer.Service, RedirectURIs: []string{callback + "#x"}},
		"relative":          {ID: "x", Type: issuer.Service, RedirectURIs: []string{"/cb"}},
		"scope with spaces": {ID: "x", Type: issuer.Service, Scopes: []string{"a b"}},
		"public, secret":    {ID: "x", Type: issuer.Service, Public: true},
	} {
		if err := is.Create(ctx, a, "secret"); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: Create = %v, want ErrInvalid", name, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for name, opt := range map[string]issuer.Option{
		"nil": nil, "nil store": issuer.WithStore(nil), "no URL": issuer.WithURL("x"), "http": issuer.WithURL("http://example.com"), "query": issuer.WithURL("https://e.com?x"),
		"rounds": issuer.WithHashRounds(1), "life": issuer.WithAccessLife(0), "seal": issuer.WithSealKey([]byte("x")),
		"algorithm": issuer.WithAlgorithm("HS256"), "no algorithm": issuer.WithAlgorithm(""), "source": issuer.WithSource(nil),
		"grace": issuer.WithRefreshGrace(5*time.Minute + 1), "negative grace": issuer.WithRefreshGrace(-1),
		"logger": issuer.WithLogger(nil),
	} {
		if is, err := issuer.New(opt); !errors.Is(err, auth.ErrInvalid) || is != nil {
			t.Errorf("%s: New = %v, %v", name, is, err)
		}
	}
}

func TestIssuerBelowAPath(t *testing.T) {
	is := seed(t, newIssuer(t, issuer.WithURL("https://example.com/auth/")))
	for _, path := range []string{"/auth/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/auth", "/auth/.well-known/oauth-authorization-server", "/auth/jwks"} {
		w := httptest.NewRecorder()
		if is.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if status, _ := post(is, "/auth/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}}); status != 200 {
		t.Errorf("token: %d", status)
	}
}
