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

// What a driver, or an Auth, may do beyond its interface is in package
// auth/driver. These are the same methods, so that the front finds them.
type (
	source interface {
		Obtain(ctx context.Context, r TokenRequest) (*Token, error)
	}
	revoker interface {
		Revoke(ctx context.Context, t *Token) error
	}
	prover interface {
		Prove(method, url string, token Secret, nonce string) (Secret, error)
	}
	nonceRequirer interface{ ProofNonce() string }
)

// TokenRequest is what a driver that gets tokens is asked for.
type TokenRequest struct {
	Service  string   // this service's name (WithService); may be empty
	Audience string   // empty: the authority's default
	Scopes   []string // sorted, without repetition
	Subject  *Token   // exchange this caller's token (RFC 8693); nil: the service's own
	Previous *Token   // the token that this one replaces; may be nil
}
