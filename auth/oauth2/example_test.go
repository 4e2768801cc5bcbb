package oauth2_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/oauth2"
)

// exampleServer stands in for the authorization server of a company.
func exampleServer() (*httptest.Server, error) {
	var is *issuer.Issuer
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { is.ServeHTTP(w, r) }))
	is, err := issuer.New(issuer.WithURL(srv.URL), issuer.WithHashRounds(1000))
	for _, a := range []issuer.Account{
		{ID: "orders", Type: issuer.Service},
		{ID: "frontend", Type: issuer.Service, Audiences: []string{"orders"}},
		{ID: "web", Type: issuer.Service, RedirectURIs: []string{"https://shop.example.com/callback"}},
		{ID: "alice", Type: issuer.User},
	} {
		if err == nil {
			err = is.Create(context.Background(), a, a.ID+" secret")
		}
	}
	return srv, err
}

func ExampleBackend() {
	ctx := context.Background()
	server, err := exampleServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	orders, err := auth.New(oauth2.Backend(server.URL, oauth2.WithCredentials("orders", "orders secret")), auth.WithService("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()
	frontend, err := auth.New(oauth2.Backend(server.URL, oauth2.WithCredentials("frontend", "frontend secret")), auth.WithService("frontend"))
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
	caller, err := orders.Verify(ctx, string(token.AccessToken))
	fmt.Println(caller.Subject, caller.Audience, err)
	// Output: frontend [orders] <nil>
}

func ExampleLogin() {
	ctx := context.Background()
	server, err := exampleServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	l, err := oauth2.NewLogin(server.URL, "https://shop.example.com/callback", oauth2.WithCredentials("web", "web secret"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	pending, err := l.Begin(ctx, "openid") // keep it with the session, redirect to pending.URL
	if err != nil {
		fmt.Println(err)
		return
	}
	query := signIn(pending.URL, "alice", "alice secret") // the person does this
	token, err := l.Finish(ctx, pending, query)           // in the handler of /callback
	fmt.Println(token.Subject, token.RefreshToken != "", err)
	// Output: alice true <nil>
}

// signIn fills in the form and returns the query that the browser comes back
// with.
func signIn(page, user, password string) url.Values {
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	form := url.Values{"username": {user}, "password": {password}}
	resp, err := c.Post(page, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		return nil
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		return nil
	}
	return back.Query()
}
