package jwt_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/jwt"
)

// Services that know each other's keys need nobody to ask.
func ExampleBackend() {
	ctx := context.Background()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	known := jwt.Issuer{Name: "shop", Keys: jwt.Public("2026", public), Algorithms: []string{"EdDSA"}}
	orders, err := auth.New(jwt.Backend(known), auth.WithService("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()
	frontend, err := auth.New(jwt.Backend(known, jwt.WithSigner("shop", "2026", private, 10*time.Minute)), auth.WithService("frontend"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer frontend.Close()

	token, err := frontend.Token(ctx, auth.Audience("orders"), auth.Scopes("read"))
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, err := orders.Verify(ctx, string(token.AccessToken))
	fmt.Println(caller.Subject, caller.Scopes, err)
	// Output: frontend [read] <nil>
}
