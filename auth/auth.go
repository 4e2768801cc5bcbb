package auth

import "context"

// Auth says who a caller is, what it may do, and gives this service its own
// tokens. All methods may be called by many goroutines at once.
type Auth interface {
	// Authorized authenticates the caller in ctx and then decides by policy.
	// The caller is the Credential in ctx, else the Token in ctx; with neither
	// the error is ErrNoCredential. Errors: ErrUnauthenticated (nobody, or a
	// bad token), ErrDenied (somebody, who may not; the Token is returned with
	// it), ErrUnavailable (nobody could be asked). Anything but nil is a no.
	Authorized(ctx context.Context, req Request) (*Token, error)

	// Verify checks one raw bearer token: its signature or the server's
	// opinion, its times, issuer and audience, and that it was not revoked.
	// Verdicts are cached for a short time (WithCacheTTL).
	Verify(ctx context.Context, raw string) (*Token, error)

	// Token returns this service's own token for an audience and scopes. It is
	// cached, and replaced in the background ahead of its expiry. ctx bounds
	// the wait of this call alone, never the request that others wait for too.
	Token(ctx context.Context, opts ...TokenOption) (*Token, error)

	// Revoke ends a token at once in this process, also if it returns an error;
	// in others through WithRevocations; and at its authority, if the backend
	// can and the token was given to this client. It is nil if the authority or
	// a feed did it; ErrUnsupported or ErrDenied say that the authority can't or
	// won't and that there is no feed. A revocation that the feed did not take
	// is an error, too, but is published again until the feed takes it, the
	// token has expired or the process ends.
	//
	// A process remembers the revocation until the token has expired; that of a
	// token without an end until the process ends. It starts with those of a
	// feed's history, so end a token without an end at its authority as well.
	Revoke(ctx context.Context, t *Token) error

	// Close waits for what runs and releases the backend. Later calls return
	// ErrClosed.
	Close() error
}

// Request is what a caller wants to do.
type Request struct {
	Service  string // the service asked: "orders"
	Action   string // "GET", or an RPC's method: "Orders.Create"
	Resource string // what it is done to: "/orders/17"; may be empty

	// Attributes are facts for the conditions of rules, read as
	// "request.<name>". Values are string, bool, int, int64, float64,
	// time.Time or []string.
	Attributes map[string]any
}

// TokenOption narrows what Token asks for.
type TokenOption func(*TokenRequest)

// Audience asks for a token for one service. Without it the token is for this
// service itself, or for what the authority gives by default.
func Audience(name string) TokenOption { return func(r *TokenRequest) { r.Audience = name } }

// Scopes asks for scopes. Without it the authority's default applies.
func Scopes(scopes ...string) TokenOption {
	return func(r *TokenRequest) { r.Scopes = append(r.Scopes, scopes...) }
}

// OnBehalfOf exchanges the token of a caller for one that this service may
// show to the audience in the caller's name (RFC 8693).
func OnBehalfOf(t *Token) TokenOption { return func(r *TokenRequest) { r.Subject = t } }
