package oauth2_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/internal/jose"
)

// asked is a request as the server saw it.
type asked struct {
	form      url.Values
	id, pass  string
	basic     bool
	accept    string
	mediaType string
}

func see(r *http.Request) asked {
	r.ParseForm()
	a := asked{form: r.PostForm, accept: r.Header.Get("Accept"), mediaType: r.Header.Get("Content-Type")}
	a.id, a.pass, a.basic = r.BasicAuth()
	return a
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

// The audience has the name that the server knows it by.
func TestHowAnAudienceIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		audience, parameter, name string
	}{
		{"orders", "", "audience"}, {"https://orders", "", "resource"}, {"urn:orders", "", "resource"}, {"orders:urn:x", "", "audience"},
		{"orders", "target", "target"}, {"https://orders", "target", "target"}, {"", "", ""}, {"", "target", ""},
	} {
		for _, way := range []string{"client credentials", "exchange"} {
			s := newStub(t)
			var got asked
			s.token = func(w http.ResponseWriter, r *http.Request) {
				got = see(r)
				answer(w, 200, `{"access_token":"at","token_type":"Bearer","expires_in":60}`)
			}
			opts := []oauth2.Option{oauth2.WithCredentials("id", "secret")}
			if c.parameter != "" {
				opts = append(opts, oauth2.WithAudienceParameter(c.parameter))
			}
			a, err := auth.New(oauth2.Backend(s.URL, opts...), auth.WithAnyAudience())
			if err != nil {
				t.Fatal(err)
			}
			ask, scope := []auth.TokenOption{auth.Audience(c.audience)}, ""
			if c.audience != "" {
				ask, scope = append(ask, auth.Scopes("b", "a")), "a b"
			}
			if way == "exchange" {
				ask = append(ask, auth.OnBehalfOf(&auth.Token{AccessToken: "caller"}))
			}
			if _, err := a.Token(t.Context(), ask...); err != nil {
				t.Errorf("%q by %s: %v", c.audience, way, err)
			}
			for _, name := range []string{"audience", "resource", "target"} {
				want := ""
				if name == c.name {
					want = c.audience
				}
				if got.form.Get(name) != want || got.form.Has(name) != (want != "") {
					t.Errorf("%q, parameter %q, by %s: %s is %q, want %q", c.audience, c.parameter, way, name, got.form.Get(name), want)
				}
			}
			if got.form.Get("scope") != scope || got.form.Has("scope") != (scope != "") {
				t.Errorf("%q by %s: scope %q, want %q", c.audience, way, got.form.Get("scope"), scope)
			}
			if exchange := got.form.Get("subject_token") == "caller"; exchange != (way == "exchange") {
				t.Errorf("%s: %v", way, got.form)
			}
			a.Close()
		}
	}
}

// A client shows its secret in the way that the metadata names, wherever it asks.
func TestHowAClientShowsItsSecret(t *testing.T) {
	for name, c := range map[string]struct {
		methods []string
		basic   bool
	}{
		"not said": {nil, true}, "basic": {[]string{"client_secret_basic"}, true}, "post": {[]string{"client_secret_post"}, false},
		"both": {[]string{"client_secret_post", "client_secret_basic"}, true}, "neither": {[]string{"private_key_jwt"}, true},
	} {
		s := newStub(t)
		s.metadata["token_endpoint_auth_methods_supported"] = c.methods
		s.metadata["revocation_endpoint"] = s.URL + "/introspect"
		var seen []asked
		s.token = func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, see(r))
			answer(w, 200, `{"access_token":"at","token_type":"Bearer","expires_in":60}`)
		}
		s.introspect = func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, see(r))
			answer(w, 200, `{"active":true,"client_id":"shop"}`)
		}
		a, err := auth.New(oauth2.Backend(s.URL, oauth2.WithCredentials("a:b", "s&c")), auth.WithAnyAudience())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if _, err := a.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{AccessToken: "x"})); err != nil {
			t.Fatal(err)
		}
		token, err := a.Verify(t.Context(), "opaque")
		if err != nil || token.Subject != "shop" || token.Issuer != s.URL {
			t.Fatal(token, err)
		}
		if err := a.Revoke(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		for i, got := range seen {
			id, pass := got.form.Get("client_id"), got.form.Get("client_secret")
			if got.basic {
				id, _ = url.QueryUnescape(got.id)
				pass, _ = url.QueryUnescape(got.pass)
			}
			if got.basic != c.basic || got.form.Has("client_secret") == c.basic || id != "a:b" || pass != "s&c" {
				t.Errorf("%s, request %d: basic %t as %q with %q", name, i, got.basic, id, pass)
			}
			if i > 0 && (got.accept != "application/json" || got.mediaType != "application/x-www-form-urlencoded") {
				t.Errorf("%s, request %d: %+v", name, i, got)
			}
		}
		if len(seen) != 4 {
			t.Errorf("%s: %d requests, want 4", name, len(seen))
		}
	}
}

// What a server does not have, or a client must not do, is said before anything
// is sent.
func TestWhatIsNotSupported(t *testing.T) {
	s := newStub(t)
	sent := 0
	s.token = func(w http.ResponseWriter, _ *http.Request) { sent++; answer(w, 500, "") }
	s.introspect = func(w http.ResponseWriter, _ *http.Request) { sent++; answer(w, 500, "") }
	open := func(without string, opts ...oauth2.Option) auth.Auth {
		t.Helper()
		old := s.metadata[without]
		delete(s.metadata, without)
		defer func() {
			if old != nil {
				s.metadata[without] = old
			}
		}()
		a, err := auth.New(oauth2.Backend(s.URL, opts...), auth.WithAnyAudience())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		return a
	}
	all := oauth2.WithCredentials("id", "secret")
	jwt := plainJWT(t, fmt.Sprintf(`{"iss":%q,"sub":"a","exp":9999999999}`, s.URL))
	for name, c := range map[string]struct {
		do   func() error
		want error
		says string
	}{
		"no token endpoint": {func() error { _, err := open("token_endpoint", all).Token(t.Context()); return err }, auth.ErrUnsupported, "no token endpoint"},
		"no credentials":    {func() error { _, err := open("").Token(t.Context()); return err }, auth.ErrUnsupported, "no credentials"},
		"no secret":         {func() error { _, err := open("", oauth2.WithCredentials("id", "")).Token(t.Context()); return err }, auth.ErrUnsupported, "no credentials"},
		"no introspection": {func() error { _, err := open("introspection_endpoint", all).Verify(t.Context(), "x"); return err }, auth.ErrUnauthenticated,
			"nobody to ask"},
		"nobody's introspection": {func() error { _, err := open("").Verify(t.Context(), "x"); return err }, auth.ErrUnauthenticated, "nobody to ask"},
		"no revocation": {func() error { return open("", all).Revoke(t.Context(), &auth.Token{AccessToken: "x"}) }, auth.ErrUnsupported,
			"no revocation endpoint"},
		"no keys": {func() error { _, err := open("jwks_uri", all).Verify(t.Context(), jwt); return err }, auth.ErrUnavailable, "no jwks_uri"},
	} {
		if err := c.do(); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || sent > 0 {
			t.Errorf("%s: %v after %d requests, want %v with %q", name, err, sent, c.want, c.says)
		}
	}
}

// What an answer of the token endpoint says, and what it leaves out.
func TestWhatATokenAnswerSays(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		opts   []auth.TokenOption
		scopes []string
		ends   bool
		want   error
	}{
		"all":                     {`{"access_token":"at","token_type":"bearer","expires_in":60,"scope":"a b"}`, []auth.TokenOption{auth.Scopes("a")}, []string{"a", "b"}, true, nil},
		"no scope: as asked":      {`{"access_token":"at","token_type":"Bearer","expires_in":60}`, []auth.TokenOption{auth.Scopes("a", "c")}, []string{"a", "c"}, true, nil},
		"an empty scope":          {`{"access_token":"at","token_type":"Bearer","scope":""}`, []auth.TokenOption{auth.Scopes("a")}, []string{"a"}, false, nil},
		"no end":                  {`{"access_token":"at","token_type":"Bearer"}`, nil, nil, false, nil},
		"an end of the past":      {`{"access_token":"at","token_type":"Bearer","expires_in":-5}`, nil, nil, false, nil},
		"of DPoP, without a key":  {`{"access_token":"at","token_type":"DPoP","expires_in":60}`, nil, nil, false, auth.ErrUnsupported},
		"of another type":         {`{"access_token":"at","token_type":"mac","expires_in":60}`, nil, nil, false, auth.ErrUnsupported},
		"no token":                {`{"token_type":"Bearer","expires_in":60}`, nil, nil, false, auth.ErrUnavailable},
		"twice":                   {`{"access_token":"at","access_token":"bt","token_type":"Bearer"}`, nil, nil, false, auth.ErrUnavailable},
		"what is no JSON at all":  {`access_token=at`, nil, nil, false, auth.ErrUnavailable},
		"a token that says scope": {`{"access_token":"` + plainJWT(t, `{"scope":"x y","client_id":"inside"}`) + `","token_type":"Bearer"}`, []auth.TokenOption{auth.Scopes("a")}, []string{"x", "y"}, false, nil},
	} {
		for _, way := range []string{"client credentials", "exchange"} {
			if name == "twice" && way == "client credentials" || name == "an end of the past" && way == "client credentials" {
				continue // x/oauth2 reads it
			}
			s := newStub(t)
			s.token = func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, c.body) }
			a, err := s.open(t)
			if err != nil {
				t.Fatal(err)
			}
			opts := c.opts
			if way == "exchange" {
				opts = append(slices.Clip(opts), auth.OnBehalfOf(&auth.Token{AccessToken: "caller"}))
			}
			got, err := a.Token(t.Context(), opts...)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%s by %s: %v, want %v", name, way, err, c.want)
			}
			if said := err != nil && strings.Contains(err.Error(), "gave no usable token"); said != (name == "no token" && way == "exchange") {
				t.Errorf("%s by %s: %v", name, way, err)
			}
			if err != nil {
				continue
			}
			client := "s6BhdRkqt3"
			if strings.Contains(name, "a token that says") {
				client = "inside"
			}
			left := time.Until(got.ExpiresAt)
			if !slices.Equal(got.Scopes, c.scopes) || got.ExpiresAt.IsZero() == c.ends || c.ends && (left < 50*time.Second || left > time.Minute) || got.ClientID != client || got.Issuer != s.URL {
				t.Errorf("%s by %s: %+v", name, way, got)
			}
		}
	}
}

// plainJWT is a token that anybody could have signed.
func plainJWT(t *testing.T, claims string) string {
	t.Helper()
	_, key, _ := ed25519.GenerateKey(nil)
	s, err := jose.NewSigner("", "", key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.Sign("at+jwt", []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Why a server refuses decides what the caller's error is.
func TestWhatARefusalMeans(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   error
		says   string
	}{
		{400, `{"error":"invalid_client"}`, auth.ErrUnauthenticated, "invalid_client"},
		{400, `{"error":"invalid_grant","error_description":"too old"}`, auth.ErrUnauthenticated, "invalid_grant: too old"},
		{401, `{}`, auth.ErrUnauthenticated, "no reason given"},
		{400, `x`, auth.ErrUnauthenticated, "no reason given"},
		{400, `{"error":"unauthorized_client"}`, auth.ErrDenied, ""}, {403, `{"error":"access_denied"}`, auth.ErrDenied, ""},
		{400, `{"error":"unsupported_grant_type"}`, auth.ErrUnsupported, ""}, {400, `{"error":"unsupported_token_type"}`, auth.ErrUnsupported, ""},
		{400, `{"error":"invalid_scope"}`, auth.ErrInvalid, ""}, {400, `{"error":"invalid_target"}`, auth.ErrInvalid, ""}, {400, `{"error":"invalid_request"}`, auth.ErrInvalid, ""},
		{500, `{"error":"invalid_client"}`, auth.ErrUnavailable, ""}, {429, `{"error":"invalid_client"}`, auth.ErrUnavailable, ""},
		{503, ``, auth.ErrUnavailable, ""}, {499, `{"error":"access_denied"}`, auth.ErrDenied, ""}, {204, ``, auth.ErrUnavailable, ""},
	} {
		s := newStub(t)
		s.metadata["revocation_endpoint"] = s.URL + "/introspect"
		s.token = func(w http.ResponseWriter, _ *http.Request) { answer(w, c.status, c.body) }
		s.introspect = s.token
		a, err := s.open(t)
		if err != nil {
			t.Fatal(err)
		}
		for way, do := range map[string]func() error{
			"client credentials": func() error { _, err := a.Token(t.Context()); return err },
			"exchange": func() error {
				_, err := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{AccessToken: "x"}))
				return err
			},
			"revoke": func() error { return a.Revoke(t.Context(), &auth.Token{AccessToken: "x"}) },
		} {
			err := do()
			if c.status == 204 && way == "client credentials" {
				continue // x/oauth2 takes every 2xx, and then there is no token in it
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d %s, %s: %v, want %v with %q", c.status, c.body, way, err, c.want, c.says)
			}
			for _, other := range []error{auth.ErrUnauthenticated, auth.ErrDenied, auth.ErrUnsupported, auth.ErrInvalid, auth.ErrUnavailable} {
				if other != c.want && errors.Is(err, other) {
					t.Errorf("%d %s, %s: %v is %v, too", c.status, c.body, way, err, other)
				}
			}
		}
	}
}

// With a refresh token that one is revoked, which ends what came of it.
func TestWhatIsRevoked(t *testing.T) {
	s := newStub(t)
	s.metadata["revocation_endpoint"] = s.URL + "/introspect"
	var got asked
	s.introspect = func(w http.ResponseWriter, r *http.Request) { got = see(r); answer(w, 200, "") }
	a, err := s.open(t)
	if err != nil {
		t.Fatal(err)
	}
	for hint, token := range map[string]*auth.Token{
		"access_token": {AccessToken: "at"}, "refresh_token": {AccessToken: "at", RefreshToken: "rt"},
	} {
		want := map[string]string{"access_token": "at", "refresh_token": "rt"}[hint]
		if err := a.Revoke(t.Context(), token); err != nil || got.form.Get("token") != want || got.form.Get("token_type_hint") != hint {
			t.Errorf("%s: %v, %v", hint, got.form, err)
		}
	}
}

// Whose issuer is safe to ask.
func TestWhichIssuersAreTaken(t *testing.T) {
	insecure := []oauth2.Option{oauth2.WithInsecure()}
	for _, c := range []struct {
		issuer string
		opts   []oauth2.Option
		says   string // "": it is taken, and then nobody answers
	}{
		{"https://127.0.0.1:1", nil, ""}, {"http://127.0.0.1:1", nil, ""}, {"http://[::1]:1", nil, ""}, {"http://localhost:1", nil, ""},
		{"http://10.255.255.1:1", nil, "loopback"}, {"http://localhost.example.com", nil, "loopback"},
		{"http://127.0.0.1.example.com:1", nil, "loopback"}, {"http://127.0.0.1.example.com:1", insecure, ""},
		{"https:///path", nil, "want https://host"}, {"https://x#f", nil, "want https://host"}, {"https://x?q", nil, "want https://host"},
		{"ftp://x", insecure, "want https://host"}, {"https://u@x", nil, "want https://host"}, {":", nil, "want https://host"},
	} {
		a, err := auth.New(oauth2.Backend(c.issuer, c.opts...), auth.WithAnyAudience(), auth.WithLazy())
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.issuer, err, c.says)
		}
		if err == nil {
			a.Close()
		}
	}
}

// Whoever comes back must bring the answer to the login that was begun, for the
// right person.
func TestWhoIsLoggedIn(t *testing.T) {
	s := newStub(t)
	_, key, _ := ed25519.GenerateKey(nil)
	signer, err := jose.NewSigner("", "", key)
	if err != nil {
		t.Fatal(err)
	}
	keys := http.NewServeMux()
	keys.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { w.Write(jose.MarshalSet(signer.Key())) })
	keys.Handle("/", s.Config.Handler)
	s.Config.Handler = keys
	claims, form := "", url.Values{}
	s.token = func(w http.ResponseWriter, r *http.Request) {
		form = see(r).form
		id, err := signer.Sign("JWT", []byte(claims))
		if err != nil {
			t.Error(err)
		}
		answer(w, 200, `{"access_token":"at","token_type":"Bearer","expires_in":60,"refresh_token":"rt","id_token":"`+id+`"}`)
	}
	l, err := oauth2.NewLogin(s.URL, "https://shop.example.com/cb", oauth2.WithCredentials("web", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type edit func(p *oauth2.Pending, q url.Values)
	end := time.Now().Add(time.Hour).Unix()
	for _, c := range []struct {
		name   string
		query  edit
		claims string // beside iss, exp and nonce
		want   error
		says   string
	}{
		{"as it should be", nil, `"sub":"alice","aud":"web"`, nil, ""},
		{"for several, by azp", nil, `"sub":"alice","aud":["web","api"],"azp":"web"`, nil, ""},
		{"for several, without azp", nil, `"sub":"alice","aud":["web","api"]`, auth.ErrUnauthenticated, "not for this client"},
		{"for one, by another azp", nil, `"sub":"alice","aud":"web","azp":"other"`, auth.ErrUnauthenticated, "not for this client"},
		{"for another", nil, `"sub":"alice","aud":"other"`, auth.ErrUnauthenticated, "not for this client"},
		{"for nobody", nil, `"sub":"alice"`, auth.ErrUnauthenticated, "not for this client"},
		{"about nobody", nil, `"aud":"web"`, auth.ErrUnauthenticated, "about nobody"},
		{"roles of a wrong type", nil, `"sub":"alice","aud":"web","roles":5`, auth.ErrUnauthenticated, "roles"},
		{"another nonce", func(p *oauth2.Pending, _ url.Values) { p.Nonce = "other" }, `"sub":"alice","aud":"web"`, auth.ErrUnauthenticated, "another nonce"},
		{"no nonce was sent", func(p *oauth2.Pending, _ url.Values) { p.Nonce = "" }, `"sub":"alice","aud":"web"`, nil, ""},
		{"another state", func(_ *oauth2.Pending, q url.Values) { q.Set("state", "x") }, `"sub":"alice","aud":"web"`, auth.ErrUnauthenticated, "the state is another"},
		{"no state", func(p *oauth2.Pending, q url.Values) { p.State = ""; q.Del("state") }, `"sub":"alice","aud":"web"`, auth.ErrUnauthenticated, "no login was begun"},
		{"two codes", func(_ *oauth2.Pending, q url.Values) { q.Add("code", "d") }, `"sub":"alice","aud":"web"`, auth.ErrUnauthenticated, "says two things"},
		{"two issuers", func(_ *oauth2.Pending, q url.Values) { q["iss"] = []string{s.URL, s.URL} }, `"sub":"alice","aud":"web"`, auth.ErrUnauthenticated, "says two things"},
		{"another issuer", func(_ *oauth2.Pending, q url.Values) { q.Set("iss", "https://x") }, `"sub":"alice","aud":"web"`, auth.ErrUnauthenticated, "another issuer"},
		{"no code", func(_ *oauth2.Pending, q url.Values) { q.Del("code") }, `"sub":"alice","aud":"web"`, auth.ErrUnauthenticated, "no code"},
		{"refused", func(_ *oauth2.Pending, q url.Values) { q.Set("error", "access_denied") }, `"sub":"alice","aud":"web"`, auth.ErrDenied, "access_denied"},
		{"out of order", func(_ *oauth2.Pending, q url.Values) { q.Set("error", "server_error") }, `"sub":"alice","aud":"web"`, auth.ErrUnauthenticated, "server_error"},
	} {
		p, err := l.Begin(t.Context(), "openid", "offline_access")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(p.URL)
		if err != nil || u.Query().Get("scope") != "openid offline_access" || u.Query().Get("redirect_uri") != "https://shop.example.com/cb" || u.Query().Get("code_challenge_method") != "S256" {
			t.Fatalf("%s, %v", p.URL, err)
		}
		claims = fmt.Sprintf(`{"iss":%q,"exp":%d,"nonce":%q,%s}`, s.URL, end, u.Query().Get("nonce"), c.claims)
		q := url.Values{"state": {p.State}, "code": {"c"}}
		if c.query != nil {
			c.query(p, q)
		}
		form = nil
		got, err := l.Finish(t.Context(), p, q)
		if !errors.Is(err, c.want) || c.want == nil && err != nil || err != nil && (got != nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, %v, want %v with %q", c.name, got, err, c.want, c.says)
		}
		if err == nil && (got.Subject != "alice" || got.Issuer != s.URL || got.RefreshToken != "rt" || got.AccessToken != "at" || form.Get("code_verifier") != string(p.Verifier)) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if err != nil {
			continue
		}
		next, err := l.Refresh(t.Context(), got)
		if err != nil || next.Subject != "alice" || next.Claims["sub"] != "alice" || form.Get("refresh_token") != "rt" {
			t.Errorf("%s, refreshed: %+v, %v", c.name, next, err)
		}
	}
	if got, err := l.Finish(t.Context(), nil, url.Values{"code": {"c"}}); got != nil || !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("nothing was begun: %v, %v", got, err)
	}
	for name, token := range map[string]*auth.Token{"none": nil, "no refresh token": {AccessToken: "at"}} {
		if got, err := l.Refresh(t.Context(), token); got != nil || !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v, %v, want ErrInvalid", name, got, err)
		}
	}
	s.token = func(w http.ResponseWriter, _ *http.Request) { answer(w, 400, `{"error":"invalid_grant"}`) }
	if got, err := l.Refresh(t.Context(), &auth.Token{RefreshToken: "old"}); got != nil || !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a refusal: %v, %v, want ErrUnauthenticated", got, err)
	}
	for _, without := range []string{"authorization_endpoint", "token_endpoint"} {
		bare := newStub(t)
		delete(bare.metadata, without)
		l, err := oauth2.NewLogin(bare.URL, "https://shop.example.com/cb", oauth2.WithCredentials("web", "secret"))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := l.Begin(t.Context()); p != nil || !errors.Is(err, auth.ErrUnsupported) {
			t.Errorf("without %s: %v, %v, want ErrUnsupported", without, p, err)
		}
		l.Close()
	}
}

// An end so far away that no duration leads to it is not one of the past.
func TestTheEndOfAnExchangedTokenIsFarAway(t *testing.T) {
	for expires, least := range map[string]time.Duration{"60": 50 * time.Second, "10000000000": 24 * time.Hour} {
		s := newStub(t)
		s.token = func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, `{"access_token":"at","token_type":"Bearer","expires_in":`+expires+`}`)
		}
		a, err := s.open(t)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{AccessToken: "caller"}))
		if err != nil || time.Until(got.ExpiresAt) < least {
			t.Errorf("expires_in %s: %v, %v", expires, got, err)
		}
	}
}
