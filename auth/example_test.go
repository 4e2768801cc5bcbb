package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
)

// Two services of one program: frontend calls orders, which lets it read.
func ExampleNew() {
	ctx := context.Background()
	local := auth.NewAuthority()
	orders, err := auth.New(auth.Local(local), auth.WithService("orders"),
		auth.WithRules(auth.Rule{ID: "frontend reads", Effect: auth.Allow, Subjects: []string{"frontend"}, Actions: []string{"GET"}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()
	frontend, err := auth.New(auth.Local(local), auth.WithService("frontend"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer frontend.Close()

	token, err := frontend.Token(ctx, auth.Audience("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx = auth.ContextWithCredential(ctx, auth.Credential{Value: token.AccessToken})
	for _, action := range []string{"GET", "DELETE"} {
		who, err := orders.Authorized(ctx, auth.Request{Service: "orders", Action: action, Resource: "/orders/17"})
		fmt.Println(who.Subject, action, err)
	}
	// Output:
	// frontend GET <nil>
	// frontend DELETE auth/local: authorize "orders DELETE /orders/17": denied: frontend: no rule allows it
}

func ExampleHandler() {
	local := auth.NewAuthority()
	au, err := auth.New(auth.Local(local), auth.WithService("orders"), auth.WithRules(auth.AllowAuthenticated()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer au.Close()
	h := auth.Handler(au, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := auth.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s", caller.Subject)
	}))

	alice, err := local.Issue("alice", "orders", map[string]any{"roles": []string{"admin"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, authorization := range []string{"", "Bearer " + string(alice.AccessToken)} {
		r := httptest.NewRequest("GET", "/", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"), w.Body)
	}
	// Output:
	// 401 Bearer, DPoP algs="ES256 EdDSA PS256 RS256" Unauthorized
	//
	// 200  hello alice
}

// The client adds the service's own token, made for the host that is called.
func ExampleTransport() {
	local := auth.NewAuthority()
	server, err := auth.New(auth.Local(local), auth.WithService("127.0.0.1"), auth.WithRules(auth.AllowAuthenticated()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	srv := httptest.NewServer(auth.Handler(server, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := auth.FromContext(r.Context())
		w.Header().Set("Caller", caller.Subject)
	})))
	defer srv.Close()
	au, err := auth.New(auth.Local(local), auth.WithService("frontend"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer au.Close()

	client := &http.Client{Transport: auth.Transport(au, srv.Client().Transport)}
	resp, err := client.Get(srv.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Header.Get("Caller"))
	// Output: 200 frontend
}

// A caller's token is exchanged for one that is good at one destination alone.
func ExampleOutgoing() {
	ctx := context.Background()
	local := auth.NewAuthority()
	orders, err := auth.New(auth.Local(local), auth.WithService("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()
	alice, err := local.Issue("alice", "orders", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx = auth.ContextWithToken(ctx, alice) // as middleware leaves it

	own, _ := auth.Outgoing(ctx, orders, auth.Destination{Audience: "billing"})
	exchanged, _ := auth.Outgoing(ctx, orders, auth.Destination{Audience: "billing", Mode: auth.Exchange})
	fmt.Println(own.Subject, own.Audience)
	fmt.Println(exchanged.Subject, exchanged.Audience, exchanged.Claims["act"])
	// Output:
	// orders [billing]
	// alice [billing] map[sub:orders]
}

func ExamplePolicies() {
	ctx := context.Background()
	p, err := auth.NewPolicies(auth.RuleSet{
		Revision: "1",
		Rules: []auth.Rule{
			{ID: "readers", Effect: auth.Allow, Roles: []string{"reader"}, Actions: []string{"GET"}},
			{ID: "owners", Effect: auth.Allow, Subjects: []string{"*"}, Resources: []string{"/orders/*"},
				When: []auth.Condition{{Attribute: "request.owner", Op: "eq", Other: "token.subject"}}},
			{ID: "frozen", Effect: auth.Deny, Resources: []string{"/orders/99"}},
		},
		Members:  map[string][]string{"alice": {"editor"}},
		Includes: map[string][]string{"editor": {"reader"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	alice, bob := &auth.Token{Subject: "alice"}, &auth.Token{Subject: "bob"}
	for _, c := range []struct {
		who *auth.Token
		r   auth.Request
	}{
		{alice, auth.Request{Action: "GET", Resource: "/orders/17"}},
		{bob, auth.Request{Action: "GET", Resource: "/orders/17"}},
		{bob, auth.Request{Action: "PUT", Resource: "/orders/17", Attributes: map[string]any{"owner": "bob"}}},
		{alice, auth.Request{Action: "GET", Resource: "/orders/99"}},
	} {
		d, _ := p.Decide(ctx, c.who, c.r)
		fmt.Println(c.who.Subject, c.r.Action, c.r.Resource, d.Effect, d.Rule, "-", d.Reason)
	}
	err = p.Replace(auth.RuleSet{Rules: []auth.Rule{{ID: "typo", Effect: auth.Allow}}})
	fmt.Println(errors.Is(err, auth.ErrInvalid), p.Revision())
	// Output:
	// alice GET /orders/17 allow readers - a rule allows it
	// bob GET /orders/17 deny  - no rule allows it
	// bob PUT /orders/17 allow owners - a rule allows it
	// alice GET /orders/99 deny frozen - a rule denies it
	// true 1
}

func ExamplePolicies_Explain() {
	p, err := auth.NewPolicies(auth.RuleSet{Rules: []auth.Rule{
		{ID: "readers", Effect: auth.Allow, Roles: []string{"reader"}, Actions: []string{"GET"}},
		{ID: "machines", Effect: auth.Allow, Scopes: []string{"write"}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := p.Explain(context.Background(), &auth.Token{Subject: "a", Roles: []string{"reader"}}, auth.Request{Action: "PUT"})
	fmt.Println(e.Effect, e.Reason)
	for _, r := range e.Rules {
		fmt.Println(r.Rule, r.Applies, r.Why)
	}
	// Output:
	// deny no rule allows it
	// readers false action "PUT"
	// machines false not all of the scopes ["write"]
}

func ExampleSecret() {
	s := auth.Secret("hunter2")
	fmt.Printf("%v %+v %#v %q\n", s, struct{ Password auth.Secret }{s}, s, s)
	fmt.Println(string(s) == "hunter2")
	// Output:
	// [redacted] {Password:[redacted]} [redacted] [redacted]
	// true
}

// Proofs of possession need a nonce of this service. Its instances share the key.
func ExampleWithNonces() {
	a, err := auth.New(auth.WithService("orders"), auth.WithNonces([]byte("32 bytes that the instances share")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	fmt.Println(len(a.(authdriver.NonceRequirer).ProofNonce()))
	// Output: 22
}

// A client of another protocol shows the token of this service.
func ExampleNewPresenter() {
	a, err := auth.New(auth.WithService("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	token, err := a.Token(context.Background(), auth.Audience("billing"))
	if err != nil {
		fmt.Println(err)
		return
	}
	p := auth.NewPresenter(a)
	shown, err := p.Present(token, "POST", "https://billing/invoices")
	fmt.Println(string(shown.Authorization[:7]), shown.Proof == "", err)
	// Output: Bearer  true <nil>
}
