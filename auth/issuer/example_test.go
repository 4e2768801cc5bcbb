package issuer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

func ExampleNew() {
	is, err := issuer.New(issuer.WithURL("http://127.0.0.1:9000"), issuer.WithHashRounds(1000)) // cheap hashes: for tests
	if err != nil {
		fmt.Println(err)
		return
	}
	err = is.Create(context.Background(), issuer.Account{ID: "orders", Type: issuer.Service, Roles: []string{"service"}, Scopes: []string{"read"}, Audiences: []string{"billing"}}, "secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	// http.Handle("/", is) serves it; here one request is enough.
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}, "audience": {"billing"}}
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("orders", "secret")
	w := httptest.NewRecorder()
	is.ServeHTTP(w, r)
	var answer map[string]any
	json.Unmarshal(w.Body.Bytes(), &answer)
	fmt.Println(w.Code, answer["token_type"], answer["expires_in"], answer["scope"])
	// Output: 200 Bearer 600 read
}

func ExampleNewSecret() {
	is, err := issuer.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	secret := issuer.NewSecret() // give it to the client; the issuer keeps a hash
	err = is.Create(context.Background(), issuer.Account{ID: "orders", Type: issuer.Service}, secret)
	fmt.Println(secret[:4], err)
	// Output: gpi_ <nil>
}

func ExampleBackend() {
	ctx := context.Background()
	is, err := issuer.New(issuer.WithHashRounds(1000)) // cheap hashes: for tests
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"orders", "frontend"} {
		if err := is.Create(ctx, issuer.Account{ID: id, Type: issuer.Service, Audiences: []string{"orders"}}, id+" secret"); err != nil {
			fmt.Println(err)
			return
		}
	}
	orders, err := auth.New(issuer.Backend(is, "orders", "orders secret"), auth.WithService("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()
	frontend, err := auth.New(issuer.Backend(is, "frontend", "frontend secret"), auth.WithService("frontend"))
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
