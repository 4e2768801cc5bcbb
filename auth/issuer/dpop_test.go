package issuer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/internal/jose"
)

// holder has a key and makes proofs with it (RFC 9449 section 4.2).
type holder struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	jkt string
	jwk map[string]any
}

func newHolder(t *testing.T) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner("", jose.ES256, key)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(jose.MarshalSet(s.Key()), &set); err != nil {
		t.Fatal(err)
	}
	return &holder{t, key, s.Key().ID, set.Keys[0]}
}

// proof is for a request; with token also for that one.
func (h *holder) proof(method, to, token string) string {
	h.t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": to, "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = enc(sum[:])
	}
	head, _ := json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": h.jwk})
	body, _ := json.Marshal(claims)
	signed := enc(head) + "." + enc(body)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, h.key, sum[:])
	if err != nil {
		h.t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + enc(sig)
}

// prove sends a request with proofs.
func prove(is http.Handler, method, path, authorization string, f url.Values, proofs ...string) (int, http.Header, map[string]any) {
	r := httptest.NewRequest(method, path, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	w := httptest.NewRecorder()
	is.ServeHTTP(w, r)
	var out map[string]any
	json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, w.Header(), out
}

func TestTokensBoundToAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const base = "https://login.example.com/auth"
		is := browser(t, newIssuer(t, issuer.WithURL(base), issuer.WithStore(keeper{issuer.Memory()})))
		if err := is.Update(t.Context(), "billing", func(a *issuer.Account) error { a.DPoPBound = true; return nil }); err != nil {
			t.Fatal(err)
		}
		h, thief := newHolder(t), newHolder(t)
		grant := func(id string) url.Values {
			return url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {id + "-secret"}}
		}
		at := base + "/token"
		late := h.proof("POST", at, "")
		time.Sleep(61 * time.Second)
		used := h.proof("POST", at, "")
		for _, c := range []struct {
			name, client string
			proofs       []string
			status       int
			code, typ    string
		}{
			{"no proof", "orders", nil, 200, "", "Bearer"},
			{"no proof where one is demanded", "billing", nil, 400, "invalid_request", ""},
			{"a proof", "billing", []string{h.proof("POST", at, "")}, 200, "", "DPoP"},
			{"a proof that nobody asked for", "orders", []string{used}, 200, "", "DPoP"},
			{"the same proof again", "orders", []string{used}, 400, "invalid_dpop_proof", ""},
			{"two proofs", "orders", []string{h.proof("POST", at, ""), h.proof("POST", at, "")}, 400, "invalid_dpop_proof", ""},
			{"a proof for another endpoint", "orders", []string{h.proof("POST", base+"/revoke", "")}, 400, "invalid_dpop_proof", ""},
			{"a proof for another method", "orders", []string{h.proof("GET", at, "")}, 400, "invalid_dpop_proof", ""},
			{"a proof for another server", "orders", []string{h.proof("POST", "https://evil.example.com/auth/token", "")}, 400, "invalid_dpop_proof", ""},
			{"an old proof", "orders", []string{late}, 400, "invalid_dpop_proof", ""},
			{"an empty one", "orders", []string{""}, 400, "invalid_dpop_proof", ""},
		} {
			status, _, got := prove(is, "POST", "/auth/token", "", grant(c.client), c.proofs...)
			code, _ := got["error"].(string)
			typ, _ := got["token_type"].(string)
			if status != c.status || code != c.code || typ != c.typ || (status == 200) != (got["access_token"] != nil) {
				t.Errorf("%s: %d %v, want %d %s %s", c.name, status, got, c.status, c.code, c.typ)
			}
			if status != 200 {
				continue
			}
			want := "<nil>"
			if c.typ == "DPoP" {
				want = "map[jkt:" + h.jkt + "]"
			}
			_, _, in := prove(is, "POST", "/auth/introspect", "", url.Values{"client_id": {c.client}, "client_secret": {c.client + "-secret"}, "token": {fmt.Sprint(got["access_token"])}})
			if cnf := fmt.Sprint(in["cnf"]); in["token_type"] != c.typ || cnf != want || in["active"] != true {
				t.Errorf("%s: introspection says %v, want %s and %s", c.name, in, c.typ, want)
			}
		}

		// A code that is bound to a key, and what a public client gets for it.
		f := url.Values{"username": {"alice"}, "password": {"alice-password"}}
		code := func(jkt string) string {
			q := request("app", callback, "scope", "openid")
			if jkt != "" {
				q.Set("dpop_jkt", jkt)
			}
			_, h, _ := prove(is, "POST", "/auth/authorize?"+q.Encode(), "", f)
			u, err := url.Parse(h.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			if e := u.Query().Get("error"); e != "" {
				return e
			}
			return u.Query().Get("code")
		}
		if got := code("x"); got != "invalid_request" {
			t.Errorf("a dpop_jkt that is no thumbprint: %s, want invalid_request", got)
		}
		form := exchangeForm(code(h.jkt))
		form.Set("client_id", "app")
		for name, proofs := range map[string][]string{"no proof": nil, "a thief's": {thief.proof("POST", at, "")}} {
			if status, _, got := prove(is, "POST", "/auth/token", "", form, proofs...); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("a bound code with %s: %d %v, want invalid_grant", name, status, got)
			}
		}
		_, _, got := prove(is, "POST", "/auth/token", "", form, h.proof("POST", at, ""))
		access, refresh := fmt.Sprint(got["access_token"]), url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {fmt.Sprint(got["refresh_token"])}}
		for name, proofs := range map[string][]string{"no proof": nil, "a thief's": {thief.proof("POST", at, "")}} {
			if status, _, got := prove(is, "POST", "/auth/token", "", refresh, proofs...); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("a bound refresh token with %s: %d %v, want invalid_grant", name, status, got)
			}
		}
		if status, _, got := prove(is, "POST", "/auth/token", "", refresh, h.proof("POST", at, "")); status != 200 || got["token_type"] != "DPoP" {
			t.Errorf("a bound refresh token with its key: %d %v", status, got)
		}

		// A public client that shows its key only when it refreshes: from then on.
		form = exchangeForm(code(""))
		form.Set("client_id", "app")
		_, _, got = prove(is, "POST", "/auth/token", "", form)
		for i, c := range []struct {
			proofs []string
			status int
			typ    any
		}{
			{nil, 200, "Bearer"},
			{[]string{h.proof("POST", at, "")}, 200, "DPoP"},
			{nil, 400, nil},
			{[]string{thief.proof("POST", at, "")}, 400, nil},
			{[]string{h.proof("POST", at, "")}, 200, "DPoP"},
		} {
			status, _, next := prove(is, "POST", "/auth/token", "", url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {fmt.Sprint(got["refresh_token"])}}, c.proofs...)
			if status != c.status || next["token_type"] != c.typ || status == 400 && next["error"] != "invalid_grant" {
				t.Errorf("refresh %d: %d %v, want %d and %v", i, status, next, c.status, c.typ)
			}
			if status == 200 {
				got = next
			}
		}

		// The token at an endpoint of ours.
		info := base + "/userinfo"
		form = exchangeForm(code(""))
		form.Set("client_id", "app")
		_, _, got = prove(is, "POST", "/auth/token", "", form)
		bearer := fmt.Sprint(got["access_token"])
		once := h.proof("GET", info, access)
		for _, c := range []struct {
			name, authorization string
			proofs              []string
			status              int
			challenge           string
		}{
			{"its holder", "DPoP " + access, []string{once}, 200, ""},
			{"the same proof again", "DPoP " + access, []string{once}, 401, `DPoP error="invalid_dpop_proof"`},
			{"as a bearer", "Bearer " + access, []string{h.proof("GET", info, access)}, 401, `Bearer error="invalid_token"`},
			{"as a bearer without a proof", "Bearer " + access, nil, 401, `Bearer error="invalid_token"`},
			{"without a proof", "DPoP " + access, nil, 401, `DPoP error="invalid_token"`},
			{"with a thief's", "DPoP " + access, []string{thief.proof("GET", info, access)}, 401, `DPoP error="invalid_token"`},
			{"with a proof for another token", "DPoP " + access, []string{h.proof("GET", info, bearer)}, 401, `DPoP error="invalid_token"`},
			{"with a proof for none", "DPoP " + access, []string{h.proof("GET", info, "")}, 401, `DPoP error="invalid_token"`},
			{"with a proof for the token endpoint", "DPoP " + access, []string{h.proof("GET", at, access)}, 401, `DPoP error="invalid_dpop_proof"`},
			{"a bearer token", "Bearer " + bearer, nil, 200, ""},
			{"a bearer token as a bound one", "DPoP " + bearer, []string{h.proof("GET", info, bearer)}, 401, `DPoP error="invalid_token"`},
		} {
			status, head, got := prove(is, "GET", "/auth/userinfo", c.authorization, nil, c.proofs...)
			if status != c.status || head.Get("WWW-Authenticate") != c.challenge || (status == 200) != (got["sub"] == "alice") {
				t.Errorf("%s: %d %q %v, want %d %q", c.name, status, head.Get("WWW-Authenticate"), got, c.status, c.challenge)
			}
		}
	})
}
