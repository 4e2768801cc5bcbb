package wrapper

import (
	"context"
	"net/http"
	"strings"

	"github.com/micro/go-platform/auth"
)

// authGate lets in whom auth authorises.
type authGate struct {
	auth    auth.Auth
	service string
	public  func(*Call) bool
}

func (g *authGate) Enter(ctx context.Context, c *Call) (context.Context, error) {
	if isProbe(c) || g.public != nil && g.public(c) {
		return ctx, nil
	}
	cred := auth.Credential{}
	if r, ok := c.native.(*http.Request); ok {
		cred.TLS = r.TLS
	}
	if scheme, value, ok := strings.Cut(c.Header.Get("Authorization"), " "); ok {
		cred.Scheme, cred.Value = scheme, auth.Secret(strings.TrimLeft(value, " "))
	}
	if cred.Value != "" || cred.TLS != nil {
		ctx = auth.ContextWithCredential(ctx, cred)
	}
	t, err := g.auth.Authorized(ctx, auth.Request{Service: g.service, Action: c.Action, Resource: c.Resource})
	if err != nil {
		return ctx, err
	}
	return auth.ContextWithToken(ctx, t), nil
}

func (g *authGate) Leave(context.Context, *Call) {}

// isProbe reports whether the call asks for the process's health.
func isProbe(c *Call) bool {
	if c.Protocol != "http" || c.Action != http.MethodGet && c.Action != http.MethodHead {
		return false
	}
	switch c.Resource {
	case "/livez", "/readyz", "/startupz", "/healthz":
		return true
	}
	return false
}
