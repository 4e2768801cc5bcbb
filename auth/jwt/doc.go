// Package jwt verifies callers by signed tokens (RFC 7519) with keys that the
// program has, and signs the service's own with one of them: authentication
// without an authority to ask.
//
//	au, err := auth.New(
//		jwt.Backend(jwt.Issuer{Name: "https://ci.example.com", Keys: jwt.JWKS(set), Algorithms: []string{"ES256"}}),
//		auth.WithService("deploy"),
//	)
//
// # Semantics
//
// Each issuer has its own keys and its own list of algorithms; a token is
// checked with those of the issuer that it names and with no other. Keys come
// from memory or from a URL, which is fetched when a token names an unknown key,
// but not more than twice at once and then once in 30 seconds. WithSigner makes
// the service's own tokens. A token must say that it is an access token, by the
// type at+jwt (RFC 9068), unless Issuer.Untyped is set; there is no revocation but the front's.
//
// # Errors
//
// A token that isn't accepted is auth.ErrUnauthenticated; keys that can't be
// fetched are auth.ErrUnavailable. A key that is too weak, or of another type
// than its algorithm, is an auth.ErrInvalid of auth.New.
//
// # Closing
//
// Close ends fetches that run.
package jwt
