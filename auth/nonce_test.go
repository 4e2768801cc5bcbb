package auth_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
	"github.com/micro/go-platform/auth/internal/dpop"
	"github.com/micro/go-platform/internal/jose"
)

// sendNonce makes a request with a proof for a nonce and returns the answer.
func (b *binding) sendNonce(token, nonce string) *http.Response {
	b.t.Helper()
	proof, err := dpop.Sign(b.holder, "GET", b.srv.URL+"/", token, nonce, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequest("GET", b.srv.URL+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	resp, err := b.srv.Client().Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestNoncesInProofs(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	open := func(opts ...auth.Option) (*binding, string) {
		b := newBinding(t, opts...)
		return b, b.token(`,"cnf":{"jkt":"` + jose.Thumbprint(b.holder.Key().Public()) + `"}`)
	}
	b, token := open(auth.WithNonces(key))
	resp := b.sendNonce(token, "")
	nonce := resp.Header.Get("DPoP-Nonce")
	if resp.StatusCode != 401 || nonce == "" || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `DPoP error="use_dpop_nonce"`) {
		t.Errorf("without a nonce: %d, %v", resp.StatusCode, resp.Header)
	}
	other, otherToken := open(auth.WithNonces(key))
	foreign, foreignToken := open(auth.WithNonces(nil))
	without, withoutToken := open()
	for name, c := range map[string]struct {
		b            *binding
		token, nonce string
		status       int
	}{
		"the nonce that was given":               {b, token, nonce, 200},
		"the same nonce, another proof":          {b, token, nonce, 200},
		"at another instance with the key":       {other, otherToken, nonce, 200},
		"at an instance with another key":        {foreign, foreignToken, nonce, 401},
		"a nonce that nobody gave":               {b, token, nonce[1:] + "A", 401},
		"where none is wanted, none":             {without, withoutToken, "", 200},
		"where none is wanted, some other's":     {without, withoutToken, nonce, 200},
		"where one is wanted, the text is empty": {b, token, "", 401},
	} {
		before := c.b.ran.Load()
		resp := c.b.sendNonce(c.token, c.nonce)
		if resp.StatusCode != c.status || (c.b.ran.Load() > before) != (c.status == 200) {
			t.Errorf("%s: %d, want %d; %d calls ran", name, resp.StatusCode, c.status, c.b.ran.Load()-before)
		}
		if given := resp.Header.Get("DPoP-Nonce"); (given != "") != (c.b != without) {
			t.Errorf("%s: the answer has the nonce %q", name, given)
		}
	}
}

func TestNoncesGetOld(t *testing.T) {
	for _, c := range []struct {
		age    time.Duration
		status int
	}{{0, 200}, {2 * time.Minute, 200}, {4 * time.Minute, 401}, {time.Hour, 401}, {-2 * time.Minute, 200}, {-4 * time.Minute, 401}} {
		base := time.Now() // it stands, so that no turn ends in between
		at := func(back time.Duration) auth.Option {
			return auth.WithClock(func() time.Time { return base.Add(-back) })
		}
		a, err := auth.New(auth.WithService("x"), auth.WithNonces(bytes.Repeat([]byte{1}, 32)), at(c.age))
		if err != nil {
			t.Fatal(err)
		}
		nonce := a.(authdriver.NonceRequirer).ProofNonce()
		a.Close()
		b := newBinding(t, auth.WithNonces(bytes.Repeat([]byte{1}, 32)), at(0))
		resp := b.sendNonce(b.token(`,"cnf":{"jkt":"`+jose.Thumbprint(b.holder.Key().Public())+`"}`), nonce)
		if resp.StatusCode != c.status {
			t.Errorf("a nonce of %s ago: %d, want %d", c.age, resp.StatusCode, c.status)
		}
	}
}

func TestKeysForNonces(t *testing.T) {
	for size, ok := range map[int]bool{0: false, 31: false, 32: true, 64: true} {
		a, err := auth.New(auth.WithService("x"), auth.WithNonces(make([]byte, size)))
		if (err == nil) != ok || err != nil && !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("a key of %d bytes: %v, want success %t", size, err, ok)
		}
		if err == nil {
			a.Close()
		}
	}
}

// What a caller is told names the scheme that it used, and offers both.
func TestChallengesOfBothSchemes(t *testing.T) {
	b := newBinding(t)
	bound := b.token(`,"cnf":{"jkt":"` + jose.Thumbprint(b.holder.Key().Public()) + `"}`)
	denied, err := auth.New(auth.WithService("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer denied.Close()
	own, err := denied.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		h             http.Handler
		authorization string
		status        int
		first, second string
	}{
		"nothing":                 {b.srv.Config.Handler, "", 401, "Bearer, ", `DPoP algs="ES256 `},
		"a bad bearer token":      {b.srv.Config.Handler, "Bearer x", 401, `Bearer error="invalid_token", error_description="`, `", DPoP algs="ES256 `},
		"a bad token of DPoP":     {b.srv.Config.Handler, "DPoP x", 401, `DPoP error="invalid_token", error_description="`, `", Bearer`},
		"a bound one as a bearer": {b.srv.Config.Handler, "Bearer " + bound, 401, `DPoP error="invalid_dpop_proof", `, `", Bearer`},
		"a bound one, no proof":   {b.srv.Config.Handler, "DPoP " + bound, 401, `DPoP error="invalid_dpop_proof", `, `", Bearer`},
		"somebody who may not":    {auth.Handler(denied, http.NotFoundHandler()), "Bearer " + string(own.AccessToken), 403, `Bearer error="insufficient_scope", `, `", DPoP algs="ES256 `},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		got := w.Header().Get("WWW-Authenticate")
		if w.Code != c.status || !strings.HasPrefix(got, c.first) || !strings.Contains(got, c.second) {
			t.Errorf("%s: %d, %s, want %d, %s… %s", name, w.Code, got, c.status, c.first, c.second)
		}
	}
}
