package dpop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth/internal/dpop"
	"github.com/micro/go-platform/internal/jose"
)

// The proof of RFC 9449 section 4.1, figure 2; the key's thumbprint stands in
// section 6.1, figure 8, the hash of the token in section 7.1, figure 12.
const (
	example = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	jkt     = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	token   = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	ath     = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
)

func TestTheExampleOfTheRFC(t *testing.T) {
	then := time.Unix(1562262616, 0)
	p, err := dpop.Verify(example, "POST", "https://server.example.com/token", then)
	if err != nil || p.Thumbprint != jkt || p.ID != "-BwC3ESc6acc2lTc" {
		t.Errorf("Verify = %+v, %v, want the key %s", p, err, jkt)
	}
	if h := dpop.Hash(token); h != ath {
		t.Errorf("Hash = %s, want %s", h, ath)
	}
	for name, c := range map[string]struct {
		method, to string
		now        time.Time
		ok         bool
	}{
		"another method":      {"GET", "https://server.example.com/token", then, false},
		"another path":        {"POST", "https://server.example.com/token/", then, false},
		"another host":        {"POST", "https://server.example.org/token", then, false},
		"another scheme":      {"POST", "http://server.example.com/token", then, false},
		"another port":        {"POST", "https://server.example.com:8443/token", then, false},
		"the same, with port": {"POST", "HTTPS://Server.Example.com:443/token?x=1#y", then, true},
		"a minute later":      {"POST", "https://server.example.com/token", then.Add(time.Minute), true},
		"a minute before":     {"POST", "https://server.example.com/token", then.Add(-time.Minute), true},
		"later than that":     {"POST", "https://server.example.com/token", then.Add(time.Minute + 1), false},
		"before that":         {"POST", "https://server.example.com/token", then.Add(-time.Minute - 1), false},
	} {
		p, err := dpop.Verify(example, c.method, c.to, c.now)
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, dpop.ErrProof) || p != nil) {
			t.Errorf("%s: %+v, %v, want success %t", name, p, err, c.ok)
		}
	}
	for name, raw := range map[string]string{"empty": "", "cut": example[:len(example)-1], "changed": strings.Replace(example, ".eyJqdGki", ".eyJqdGkj", 1), "nonsense": "a.b.c"} {
		if p, err := dpop.Verify(raw, "POST", "https://server.example.com/token", then); !errors.Is(err, dpop.ErrProof) || p != nil {
			t.Errorf("%s: %+v, %v, want ErrProof", name, p, err)
		}
	}
}

// sign makes a proof with any header and claims.
func sign(t *testing.T, key *ecdsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return signRaw(t, key, string(h), string(c))
}

func signRaw(t *testing.T, key *ecdsa.PrivateKey, header, claims string) string {
	t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	// jose signs only with headers of its own, so the signature is made over these.
	signed := enc([]byte(header)) + "." + enc([]byte(claims))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + enc(sig)
}

func TestWhatAProofMustHave(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	jwk := public(t, key)
	with := func(more map[string]any) map[string]any {
		out := maps.Clone(jwk)
		maps.Copy(out, more)
		return out
	}
	for name, c := range map[string]struct {
		ok     bool
		key    *ecdsa.PrivateKey
		header map[string]any
		claims map[string]any
	}{
		"as it should be":      {true, key, nil, nil},
		"with nonce and ath":   {true, key, nil, map[string]any{"nonce": "n", "ath": ath}},
		"type in capitals":     {true, key, map[string]any{"typ": "DPoP+JWT"}, nil},
		"another's key":        {false, other, nil, nil},
		"another type":         {false, key, map[string]any{"typ": "jwt"}, nil},
		"no type":              {false, key, map[string]any{"typ": ""}, nil},
		"alg none":             {false, key, map[string]any{"alg": "none"}, nil},
		"a symmetric alg":      {false, key, map[string]any{"alg": "HS256"}, nil},
		"no key":               {false, key, map[string]any{"jwk": nil}, nil},
		"a key that's a text":  {false, key, map[string]any{"jwk": "x"}, nil},
		"a private key":        {false, key, map[string]any{"jwk": with(map[string]any{"d": "AAAA"})}, nil},
		"a shared key":         {false, key, map[string]any{"jwk": map[string]any{"kty": "oct", "k": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}}, nil},
		"a critical extension": {false, key, map[string]any{"crit": []string{"x"}, "x": 1}, nil},
		"no id":                {false, key, nil, map[string]any{"jti": nil}},
		"an empty id":          {false, key, nil, map[string]any{"jti": ""}},
		"a long id":            {false, key, nil, map[string]any{"jti": strings.Repeat("x", 1025)}},
		"an id of 1024 bytes":  {true, key, nil, map[string]any{"jti": strings.Repeat("x", 1024)}},
		"no time":              {false, key, nil, map[string]any{"iat": nil}},
		"a time that's a text": {false, key, nil, map[string]any{"iat": "now"}},
		"no method":            {false, key, nil, map[string]any{"htm": nil}},
		"the method in small":  {false, key, nil, map[string]any{"htm": "post"}},
		"no address":           {false, key, nil, map[string]any{"htu": nil}},
		"no host":              {false, key, nil, map[string]any{"htu": "https:///token"}},
		"a port without end":   {false, key, nil, map[string]any{"htu": "https://server.example.com:x/token"}},
		"a path alone":         {false, key, nil, map[string]any{"htu": "/token"}},
		"with user info":       {false, key, nil, map[string]any{"htu": "https://a@server.example.com/token"}},
		"an escaped path":      {false, key, nil, map[string]any{"htu": "https://server.example.com/%74oken"}},
	} {
		header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
		claims := map[string]any{"jti": "j", "htm": "POST", "htu": "https://server.example.com/token", "iat": now.Unix()}
		maps.Copy(header, c.header)
		maps.Copy(claims, c.claims)
		for _, m := range []map[string]any{header, claims} {
			maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
		}
		p, err := dpop.Verify(sign(t, c.key, header, claims), "POST", "https://server.example.com/token", now)
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, dpop.ErrProof) || p != nil) {
			t.Errorf("%s: %+v, %v, want success %t", name, p, err, c.ok)
		}
		if name == "with nonce and ath" && (p == nil || p.Nonce != "n" || p.TokenHash != ath) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// A proof that is refused says why: another check does not stand in for it.
func TestRefusalsOfHeadersAndClaims(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(public(t, key))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	good := `{"typ":"dpop+jwt","alg":"ES256","jwk":` + string(jwk) + `}`
	for _, c := range []struct{ name, header, claims, want string }{
		{"as it should be", good, `{"jti":"j","htm":"POST","htu":"https://server.example.com","iat":1700000000}`, ""},
		{"with a slash", good, `{"jti":"j","htm":"POST","htu":"https://server.example.com/","iat":1700000000}`, ""},
		{"no time", good, `{"jti":"j","htm":"POST","htu":"https://server.example.com"}`, "of another time"},
		{"a time that's a text", good, `{"jti":"j","htm":"POST","htu":"https://server.example.com","iat":"now"}`, "of another time"},
		{"claims that are a list", good, `[]`, "object"},
		{"no key", `{"typ":"dpop+jwt","alg":"ES256"}`, `{}`, "no jwk"},
		{"a key that's a text", `{"typ":"dpop+jwt","alg":"ES256","jwk":"x"}`, `{}`, "no jwk"},
	} {
		raw := signRaw(t, key, c.header, c.claims)
		for _, to := range []string{"https://server.example.com", "https://server.example.com/"} {
			p, err := dpop.Verify(raw, "POST", to, now)
			if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, dpop.ErrProof) || !strings.Contains(err.Error(), c.want) || p != nil) {
				t.Errorf("%s, for %s: %+v, %v, want %q", c.name, to, p, err, c.want)
			}
		}
	}
	// A time at the epoch is far from now, but not everywhere.
	raw := signRaw(t, key, good, `{"jti":"j","htm":"POST","htu":"https://server.example.com"}`)
	if p, err := dpop.Verify(raw, "POST", "https://server.example.com", time.Unix(0, 0)); !errors.Is(err, dpop.ErrProof) || p != nil {
		t.Errorf("no time, at the epoch: %+v, %v, want ErrProof", p, err)
	}
	if p, err := dpop.Verify(raw, "POST", "nowhere", now); !errors.Is(err, dpop.ErrProof) || !strings.Contains(err.Error(), "another address") || p != nil {
		t.Errorf("for no URL: %+v, %v, want ErrProof", p, err)
	}
}

func TestTheProofOfARequest(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	if _, there, err := dpop.FromRequest(r); there || err != nil {
		t.Errorf("none: %t, %v", there, err)
	}
	r.Header.Add("DPoP", "a")
	if raw, there, err := dpop.FromRequest(r); raw != "a" || !there || err != nil {
		t.Errorf("one: %q, %t, %v", raw, there, err)
	}
	r.Header.Add("DPoP", "a")
	if raw, there, err := dpop.FromRequest(r); raw != "" || !there || !errors.Is(err, dpop.ErrProof) {
		t.Errorf("two: %q, %t, %v", raw, there, err)
	}
}

func public(t *testing.T, key *ecdsa.PrivateKey) map[string]any {
	t.Helper()
	s, err := jose.NewSigner("", jose.ES256, key)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(jose.MarshalSet(s.Key()), &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[0]
}
