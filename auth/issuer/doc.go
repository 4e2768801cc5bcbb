// Package issuer is an OAuth2 authorization server in a library: an
// http.Handler to mount where one likes, and a backend of auth within the same
// process. It is made for development, tests and small deployments.
//
//	is, err := issuer.New(issuer.WithURL("http://127.0.0.1:9000"))
//	err = is.Create(ctx, issuer.Account{ID: "orders", Type: issuer.Service}, "its secret")
//	http.Handle("/", is)                                      // for other processes
//	au, err := auth.New(issuer.Backend(is, "orders", "its secret")) // for this one
//
// # What it does
//
// Client credentials, authorization code with PKCE (RFC 7636, S256 only and
// always), refresh tokens that rotate, with the whole grant revoked when an
// old one is shown again, token exchange (RFC 8693), introspection (RFC 7662),
// revocation (RFC 7009), userinfo (OpenID Connect Core), metadata (RFC 8414 and
// OpenID Connect discovery), a JWK set whose keys rotate. Clients authenticate
// by a secret or by a JWT that they sign (RFC 7523), and their tokens may be
// bound to a key (RFC 9449) or to their certificate (RFC 8705). Access tokens are JWTs as RFC 9068 has
// them, signed with EdDSA, ES256 or RS256. No implicit grant and no password
// grant. docs/auth.md goes through RFC 9700 point by point.
//
// A client gets tokens for itself and for the Audiences of its account, no
// others.
//
// # Secrets
//
// NewSecret makes secrets that nobody can guess. Secrets that people choose are
// hashed with PBKDF2, a few at once; callers wait for it in turn by source, and
// who leaves costs nothing. After five wrong guesses a source has to wait for
// that account, up to a minute (429), while every other source gets in with the
// right secret. Behind a proxy, WithSource tells the sources apart.
//
// # State
//
// Everything is in a Store: memory by default; kvstore and dbstore keep it in
// a kv.KV or a db.DB, and several issuers that share one are one issuer, also
// for signing keys, which each looks up again every quarter of a second. A
// grant is one record that is only ever changed by compare-and-set, so a code
// is exchanged once whoever asks and wherever. The store holds hashes of
// secrets, codes and refresh tokens, never the things themselves; signing keys
// are sealed if WithSealKey is given.
//
// # Errors
//
// Methods return the kinds of package auth; the handler answers with the error
// codes of the RFCs.
//
// # Closing
//
// An Issuer starts no goroutine and holds nothing open. Calls that are in
// progress end with their contexts.
package issuer
