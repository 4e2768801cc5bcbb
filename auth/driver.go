package auth

import "context"

// Driver is what a backend does. The front does the rest: caching, audience,
// times, revocations, policies, deadlines, error texts, Close.
//
//  1. Verify checks a credential and returns what it says. The front has
//     bounded its size and scheme. A credential that isn't accepted is an
//     ErrUnauthenticated (or one of its finer reasons), one that couldn't be
//     checked an ErrUnavailable. Nothing else, and never a token with an error.
//  2. The token's Issuer must be one that the driver was built to trust, by
//     the driver's own configuration and never by what the token says of
//     itself. Times are checked by the driver and again by the front, at every
//     use of a cached verdict.
//  3. Tokens returned are not changed later.
//  4. Methods may be called by many goroutines at once. A context that ends
//     ends the call.
//  5. Close is called once, when no other call runs.
type Driver interface {
	Verify(ctx context.Context, c Credential) (*Token, error)
	Close() error
}

// Pinger is a Driver that can ask whether its authority answers. New calls it
// within the dial timeout.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Source is a Driver that gets tokens for this service from its authority. It
// does not cache: the front does. r.Previous is the token that is about to
// expire, if there was one; a driver may refresh by it but must fall back to a
// fresh grant when that is refused. An error that has a method RetryAfter()
// time.Duration says how long the authority wants not to be asked.
type Source interface {
	Obtain(ctx context.Context, r TokenRequest) (*Token, error)
}

// Revoker is a Driver that can end a token at its authority.
type Revoker interface {
	Revoke(ctx context.Context, t *Token) error
}

// TokenRequest is what a Source is asked for.
type TokenRequest struct {
	Service  string   // this service's name (WithService); may be empty
	Audience string   // empty: the authority's default
	Scopes   []string // sorted, without repetition
	Subject  *Token   // exchange this caller's token (RFC 8693); nil: the service's own
	Previous *Token   // the token that this one replaces; may be nil
}
