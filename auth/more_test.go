package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	authdriver "github.com/micro/go-platform/auth/driver"
)

// A key that New makes is nobody else's, and a nonce changes with its turn.
func TestNoncesOfAMadeKey(t *testing.T) {
	now := time.Unix(1_700_000_040, 0) // the beginning of a turn
	open := func() authdriver.NonceRequirer {
		a, err := auth.New(auth.WithService("x"), auth.WithNonces(nil), auth.WithClock(func() time.Time { return now }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		return a.(authdriver.NonceRequirer)
	}
	one := open()
	first := one.ProofNonce()
	if first == open().ProofNonce() {
		t.Error("two services have one nonce")
	}
	for _, c := range []struct {
		after time.Duration
		same  bool
	}{{0, true}, {2*time.Minute - 1, true}, {1, false}} {
		now = now.Add(c.after)
		if got := one.ProofNonce(); (got == first) != c.same {
			t.Errorf("at %s: the first nonce %t, want %t", now, got == first, c.same)
		}
	}
}

// A token that is exchanged ends with the caller's, and a caller that is not
// known gets none.
func TestExchangesOfALocalAuthority(t *testing.T) {
	_, frontend, local := world(t)
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	user, err := local.Issue("alice", "frontend", map[string]any{"exp": end.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	token, err := frontend.Token(t.Context(), auth.Audience("orders"), auth.OnBehalfOf(user))
	if err != nil || !token.ExpiresAt.Equal(end) {
		t.Errorf("%+v, %v, want the end %s", token, err, end)
	}
	if token, err := frontend.Token(t.Context(), auth.Audience("orders"), auth.OnBehalfOf(&auth.Token{AccessToken: "x"})); token != nil || !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a caller that nobody knows: %v, %v, want ErrUnauthenticated", token, err)
	}
	nameless, err := auth.New(auth.Local(local), auth.WithAnyAudience())
	if err != nil {
		t.Fatal(err)
	}
	defer nameless.Close()
	if token, err := nameless.Token(t.Context()); err != nil || token.Subject != "local" {
		t.Errorf("a service without a name: %v, %v", token, err)
	}
	if _, err := auth.New(auth.Local(nil)); err == nil || !strings.Contains(err.Error(), "nil Authority") {
		t.Errorf("Local(nil): %v", err)
	}
}

func TestLimitsOfRules(t *testing.T) {
	for name, c := range map[string]struct {
		set auth.RuleSet
		ok  bool
	}{
		"a pattern of 1024":       {auth.RuleSet{Rules: []auth.Rule{{ID: "x", Subjects: []string{strings.Repeat("a", 1024)}}}}, true},
		"a pattern of 1025":       {auth.RuleSet{Rules: []auth.Rule{{ID: "x", Subjects: []string{strings.Repeat("a", 1025)}}}}, false},
		"16 stars":                {auth.RuleSet{Rules: []auth.Rule{{ID: "x", Subjects: []string{strings.Repeat("a*", 16)}}}}, true},
		"17 stars":                {auth.RuleSet{Rules: []auth.Rule{{ID: "x", Subjects: []string{strings.Repeat("a*", 17)}}}}, false},
		"roles of somebody":       {auth.RuleSet{Members: map[string][]string{"alice": {"r"}}}, true},
		"roles of nobody":         {auth.RuleSet{Members: map[string][]string{"": {"r"}}}, false},
		"a scope that is a glob":  {auth.RuleSet{Rules: []auth.Rule{{ID: "x", Scopes: []string{"a*"}}}}, false},
		"an empty scope of a set": {auth.RuleSet{Rules: []auth.Rule{{ID: "x", Scopes: []string{""}}}}, false},
	} {
		if _, err := auth.NewPolicies(c.set); (err == nil) != c.ok || err != nil && !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v, want success %t", name, err, c.ok)
		}
	}
}

// Explain names the first thing that kept each rule from applying.
func TestWhyARuleDoesNotApply(t *testing.T) {
	token := &auth.Token{Subject: "alice", Issuer: "us", Roles: []string{"r"}, Scopes: []string{"s"}}
	request := auth.Request{Service: "orders", Action: "GET", Resource: "/a"}
	for want, r := range map[string]auth.Rule{
		"applies":                     {Subjects: []string{"alice"}, Issuers: []string{"us"}, Roles: []string{"r"}, Scopes: []string{"s"}, Services: []string{"orders"}, Actions: []string{"GET"}, Resources: []string{"/a"}},
		`subject "alice"`:             {Subjects: []string{"bob"}, Issuers: []string{"them"}},
		`issuer "us"`:                 {Issuers: []string{"them"}, Roles: []string{"q"}},
		`none of the roles ["q"]`:     {Roles: []string{"q"}, Scopes: []string{"q"}},
		`not all of the scopes ["q"]`: {Scopes: []string{"q"}, Services: []string{"q"}},
		`service "orders"`:            {Services: []string{"q"}, Actions: []string{"q"}},
		`action "GET"`:                {Actions: []string{"q"}, Resources: []string{"q"}},
		`resource "/a"`:               {Resources: []string{"q"}},
		"a condition is false":        {When: []auth.Condition{{Attribute: "token.subject", Op: "eq", Value: "bob"}}},
		"a condition has no answer":   {When: []auth.Condition{{Attribute: "claims.x", Op: "eq", Value: "bob"}}},
	} {
		r.ID = "x"
		e := policies(t, auth.RuleSet{Rules: []auth.Rule{r}}).Explain(t.Context(), token, request)
		if len(e.Rules) != 1 || e.Rules[0].Why != want {
			t.Errorf("got %+v, want %q", e.Rules, want)
		}
	}
}

func TestSecretsPrintNothing(t *testing.T) {
	for secret, want := range map[auth.Secret]string{"": "", "x": "[redacted]"} {
		b, err := json.Marshal(secret)
		if got := fmt.Sprintf("%s|%v|%q|%x", secret, secret, secret, secret); err != nil || got != strings.Repeat(want+"|", 3)+want || string(b) != `"`+want+`"` {
			t.Errorf("%q: %s, %s, %v", want, got, b, err)
		}
	}
}

func TestARefusalsTokenIsInTheLog(t *testing.T) {
	for _, token := range []*auth.Token{nil, {Subject: "alice", AccessToken: "hunter2"}} {
		var out lines
		auth.LogRefusals(slog.New(slog.NewTextHandler(&out, nil)))(t.Context(), auth.Refusal{Reason: "denied", Err: auth.ErrDenied, Token: token})
		got := strings.Join(out.take(), "")
		if strings.Contains(got, "token.subject=alice") != (token != nil) || strings.Contains(got, "token=") || strings.Contains(got, "hunter2") {
			t.Errorf("%v: %s", token, got)
		}
	}
}

// What Transport can't send, and what it is sent through.
func TestTransportsWithoutABase(t *testing.T) {
	_, frontend, _ := world(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization") != "") }))
	defer srv.Close()
	c := &http.Client{Transport: auth.Transport(frontend, nil)}
	resp, err := c.Get(srv.URL)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("through the default transport: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	c.CloseIdleConnections()
	down := errors.New("down")
	broken := roundTripper(func(*http.Request) (*http.Response, error) { return nil, down })
	if _, err := (&http.Client{Transport: auth.Transport(frontend, broken)}).Get("http://orders/"); !errors.Is(err, down) {
		t.Errorf("a base that fails: %v", err)
	}
	body := &closing{Reader: strings.NewReader("x")}
	r, err := http.NewRequest("POST", "http://orders/", body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Transport(frontend, broken, nil).RoundTrip(r); !errors.Is(err, auth.ErrInvalid) || !body.closed {
		t.Errorf("a nil option: %v, body closed %t", err, body.closed)
	}
	// A caller that showed a certificate alone has nothing to pass on.
	ctx := auth.ContextWithCredential(t.Context(), auth.Credential{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}})
	if token, err := auth.Outgoing(ctx, frontend, auth.Destination{Mode: auth.Forward}); err != nil || token.Subject != "frontend" {
		t.Errorf("Forward of a certificate: %v, %v, want the service's own", token, err)
	}
}

// A proof is for the host that the request names.
func TestProofsAreForTheHostOfTheRequest(t *testing.T) {
	shop := authtest.NewBound(t).Auth(t, "shop")
	for host, want := range map[string]string{"": "http://10.0.0.1/a", "api.example.com": "http://api.example.com/a"} {
		var proof string
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			proof = r.Header.Get("DPoP")
			return &http.Response{StatusCode: 204, Body: http.NoBody, Request: r}, nil
		})
		r, err := http.NewRequestWithContext(context.Background(), "GET", "http://10.0.0.1/a?x=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if _, err := auth.Transport(shop, base).RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(proof, ".")[1])
		var claims struct{ Htu string }
		if err == nil {
			err = json.Unmarshal(payload, &claims)
		}
		if err != nil || claims.Htu != want {
			t.Errorf("host %q: a proof for %q, %v, want %q", host, claims.Htu, err, want)
		}
	}
	if proof, err := shop.(authdriver.Prover).Prove("GET", "nowhere", "t", ""); proof != "" || err == nil {
		t.Errorf("a proof for no URL: %q, %v", proof, err)
	}
}
