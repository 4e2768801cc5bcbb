// Package jose reads and writes signed tokens: JWS in compact form (RFC 7515),
// JWK (RFC 7517) and the registered claims of JWT (RFC 7519), as RFC 8725
// advises and stricter where nothing needs the freedom.
//
// It is a filter for foreign bytes. Sizes are bounded before anything is
// parsed; base64url and JSON have one spelling each; the algorithm is a
// property of the issuer and of the key, and what a header asks for is only
// compared with it; keys in a header are never used; a critical extension is
// refused, for none is known here. There is no encryption (JWE), no JSON
// serialisation, no "none".
package jose

import "github.com/micro/go-platform/internal/fault"

// MaxToken is the length in bytes beyond which a token is refused unread.
const MaxToken = 16 << 10

// Why something isn't accepted. Each is a fault.Unauthenticated: that is what
// they are when a caller's token causes them. Who reads keys or configuration
// with this package gives the errors another kind.
var (
	ErrFormat    = fault.Finer(fault.Unauthenticated, "malformed token")
	ErrSignature = fault.Finer(fault.Unauthenticated, "bad signature")
	ErrKey       = fault.Finer(fault.Unauthenticated, "unusable key")
	ErrNoKey     = fault.Finer(fault.Unauthenticated, "unknown key")
	ErrClaims    = fault.Finer(fault.Unauthenticated, "claim not accepted")
	ErrIssuer    = fault.Finer(fault.Unauthenticated, "issuer not accepted")
	ErrType      = fault.Finer(fault.Unauthenticated, "kind of token not accepted")
	ErrExpired   = fault.Finer(fault.Unauthenticated, "token expired")
)
