package micro_test

import (
	"context"
	"sync"
	"testing"

	merrors "go-micro.dev/v5/errors"
	"go-micro.dev/v5/metadata"
	"go-micro.dev/v5/server"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	authdriver "github.com/micro/go-platform/auth/driver"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/micro"
)

func TestTokensWithProofs(t *testing.T) {
	for name, opts := range map[string][]auth.Option{"no nonces": nil, "nonces": {auth.WithNonces(nil)}} {
		t.Run(name, func(t *testing.T) {
			x, authority := newWorld(t), authtest.NewBound(t)
			var mu sync.Mutex
			proofs := map[string]int{}
			note := func(next server.HandlerFunc) server.HandlerFunc {
				return func(ctx context.Context, req server.Request, rsp any) error {
					md, _ := metadata.FromContext(ctx)
					mu.Lock()
					proofs[md["Dpop"]]++
					mu.Unlock()
					return next(ctx, req, rsp)
				}
			}
			fail := false
			e := &Echo{say: func(ctx context.Context, in string) (string, error) {
				if fail {
					fail = false
					return "", merrors.New("echo", "once", 503)
				}
				caller, _ := auth.FromContext(ctx)
				return in + " " + caller.Subject, nil
			}}
			sw := newWrapper(t, "echo", wrapper.WithAuth(authority.Auth(t, "echo", append(opts, auth.WithRules(auth.AllowAuthenticated()))...)))
			_, addr := x.serve(t, e, sw, server.WrapHandler(note))
			rec := newRecorder()
			cl := x.client(newWrapper(t, "shop", wrapper.WithAuth(authority.Auth(t, "shop")), wrapper.WithRouter(fixed(t, addr)), wrapper.WithObserver(rec)),
				micro.WithIdempotent(func(string, string) bool { return true }))
			for i := range 3 {
				got, err := say(t.Context(), cl, "hi")
				if call := receive(t, rec.ended); err != nil || got != "hi shop" || call.Attempts != 1 {
					t.Errorf("call %d: %q, %v in %d attempts", i, got, err, call.Attempts)
				}
			}
			fail = true
			got, err := say(t.Context(), cl, "again")
			if call := receive(t, rec.ended); err != nil || got != "again shop" || call.Attempts != 2 {
				t.Errorf("sent again: %q, %v in %d attempts", got, err, call.Attempts)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(proofs) != 4+1 || proofs[""] != 0 { // those that were refused come no further than the gate
				t.Errorf("the handler's calls had %d different proofs, want 5: %v", len(proofs), proofs)
			}
			if n := e.calls.Load(); n != 5 {
				t.Errorf("%d calls ran, want 5", n)
			}
		})
	}
}

// A proof for another endpoint, or none, is refused.
func TestStolenProofs(t *testing.T) {
	x, authority := newWorld(t), authtest.NewBound(t)
	e := &Echo{say: func(context.Context, string) (string, error) { return "", nil }}
	_, addr := x.serve(t, e, newWrapper(t, "echo", wrapper.WithAuth(authority.Auth(t, "echo", auth.WithRules(auth.AllowAuthenticated())))))
	shop := authority.Auth(t, "shop")
	token, err := shop.Token(t.Context(), auth.Audience("echo"))
	if err != nil {
		t.Fatal(err)
	}
	cl := x.client(newWrapper(t, "shop", wrapper.WithRouter(fixed(t, addr))))
	for url, want := range map[string]int{"micro://echo/Echo.Say": 0, "micro://echo/Echo.Both": 401, "micro://other/Echo.Say": 401, "": 401} {
		md := metadata.Metadata{"Authorization": "DPoP " + string(token.AccessToken)}
		if url != "" {
			proof, err := shop.(authdriver.Prover).Prove("POST", url, token.AccessToken, "")
			if err != nil {
				t.Fatal(err)
			}
			md["Dpop"] = string(proof)
		}
		_, err := say(metadata.NewContext(t.Context(), md), cl, "hi")
		if codeOf(err) != want {
			t.Errorf("with a proof for %q: %v, want %d", url, err, want)
		}
	}
}
