package auth

import (
	"context"
	"crypto/tls"
)

// Credential is what a caller showed, before anybody has checked it.
type Credential struct {
	Scheme string               // "Bearer" or "DPoP"; empty means Bearer, and another is refused
	Value  Secret               // the raw token
	TLS    *tls.ConnectionState // the caller's connection, for client certificates; may be nil
	Proof  *Proof               // what came with the scheme DPoP; may be nil

	// Err says that what was shown can't be a credential. Middleware passes it
	// on, so that Authorized refuses with it and tells of the refusal.
	Err error
}

type credentialKey struct{}

type tokenKey struct{}

// ContextWithCredential returns a context that carries what a caller showed.
// Middleware of any transport calls it with what came in; Authorized reads it.
func ContextWithCredential(ctx context.Context, c Credential) context.Context {
	return context.WithValue(ctx, credentialKey{}, c)
}

// CredentialFromContext returns what ContextWithCredential put into ctx.
func CredentialFromContext(ctx context.Context) (Credential, bool) {
	c, ok := ctx.Value(credentialKey{}).(Credential)
	return c, ok
}

// ContextWithToken returns a context that carries a verified token. Middleware
// calls it with what Authorized returned, so that handlers find it.
func ContextWithToken(ctx context.Context, t *Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, t)
}

// FromContext returns the verified token of the caller, as middleware left it.
func FromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(tokenKey{}).(*Token)
	return t, ok && t != nil
}
