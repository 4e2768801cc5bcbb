// Package oauth2 makes any OAuth2 or OpenID Connect server the authority of an
// auth.Auth. The server is found by its metadata (RFC 8414, OpenID Connect
// discovery).
//
//	au, err := auth.New(
//		oauth2.Backend("https://login.example.com", oauth2.WithCredentials("orders", secret)),
//		auth.WithService("orders"), auth.WithDecider(p),
//	)
//
// # Semantics
//
// A caller's token that is a JWT is verified here, with the server's key set:
// that goes on while the server is unavailable. Any other token, or every token with
// WithIntrospection, is shown to the server (RFC 7662). The service's own
// tokens come from the client credentials grant or, on behalf of a caller,
// from token exchange (RFC 8693). Revoke is RFC 7009. Login is the
// authorization code flow with PKCE, for programs that log people in.
//
// With WithDPoP the service's own tokens are bound to a key (RFC 9449).
//
// A JWT must say that it is an access token, by the type at+jwt (RFC 9068), so
// that no ID token passes for one; WithUntypedTokens is for the servers that
// don't say it. The algorithms accepted are fixed when the backend is built and
// none of them is symmetric. The key set is fetched again when a token names a
// key that it lacks, but at most twice at once and then once in 30 seconds.
//
// # Errors
//
// A server that can't be reached, is overloaded or fails is
// auth.ErrUnavailable; one that doesn't know the client or the token is
// auth.ErrUnauthenticated; what it finds wrong with a request, such as an
// unknown scope, is auth.ErrInvalid.
//
// # Closing
//
// Close waits for the fetches that run and drops idle connections, unless the
// HTTP client was the caller's own.
package oauth2
