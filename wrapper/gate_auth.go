package wrapper

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
)

// authGate lets in whom auth authorises.
type authGate struct {
	auth    auth.Auth
	service string
	public  func(*Call) bool
	paths   []string // of requests that are public, "/x/" with all below it
}

// open reports whether a call needs no authorisation.
func (g *authGate) open(c *Call) bool {
	if c.Message || isProbe(c) || g.public != nil && g.public(c) {
		return true
	}
	_, isHTTP := c.native.(*http.Request)
	return isHTTP && slices.ContainsFunc(g.paths, func(p string) bool {
		return c.Resource == p || strings.HasSuffix(p, "/") && strings.HasPrefix(c.Resource, p)
	})
}

func (g *authGate) Enter(ctx context.Context, c *Call) (context.Context, error) {
	if g.open(c) {
		return ctx, nil
	}
	cred, shown, bad := credential(c)
	if bad != nil {
		ctx = auth.ContextWithCredential(ctx, auth.Credential{Err: bad})
	} else if shown {
		ctx = auth.ContextWithCredential(ctx, cred)
	}
	t, err := g.auth.Authorized(ctx, auth.Request{Service: g.service, Action: c.Action, Resource: c.Resource})
	err = cmp.Or(err, bad)
	if err != nil {
		return ctx, err
	}
	return auth.ContextWithToken(ctx, t), nil
}

// credential reads what a caller shows.
func credential(c *Call) (cred auth.Credential, shown bool, err error) {
	if r, ok := c.native.(*http.Request); ok {
		return auth.CredentialFromRequest(r)
	}
	if c.shown != nil {
		return *c.shown, c.shown.Err == nil, c.shown.Err
	}
	values := c.Header.Values("Authorization")
	if len(values) == 0 {
		return cred, false, nil
	}
	if len(values) > 1 {
		return cred, false, fault.Mark(auth.ErrUnauthenticated, errors.New("two authorization headers"))
	}
	cred.Scheme, cred.Value, err = auth.ParseAuthorization(values[0])
	return cred, err == nil, err
}

// giveNonce adds the nonce that the next proof of the caller needs, if it sends
// proofs at all: see auth.WithNonces.
func (w *Wrapper) giveNonce(h http.Header, r *http.Request) {
	required, ok := w.o.auth.(authdriver.NonceRequirer)
	if !ok || r.Header["Dpop"] == nil {
		return
	}
	nonce := required.ProofNonce()
	if nonce != "" {
		h.Set("DPoP-Nonce", nonce)
	}
}

func (g *authGate) Leave(context.Context, *Call) {}

// isProbe reports whether the call asks for the process's health. It looks at
// the path as the handler gets it: one that only becomes a probe's by being
// cleaned is none.
func isProbe(c *Call) bool {
	r, ok := c.native.(*http.Request)
	if !ok || c.Action != http.MethodGet && c.Action != http.MethodHead {
		return false
	}
	switch r.URL.Path {
	case "/livez", "/readyz", "/startupz", "/healthz":
		return true
	}
	return false
}

// refusal names why a gate did not let a call in: "limit", or what
// auth.ReasonOf says.
func refusal(c *Call) string {
	if errors.Is(c.Err, router.ErrLimited) {
		return "limit"
	}
	return auth.ReasonOf(c.Err)
}
