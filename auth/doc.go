// Package auth authenticates the callers of a service, decides by policy what
// they may do, and gets the tokens that the service shows to others.
//
//	au, err := auth.New(
//		oauth2.Backend("https://login.example.com", oauth2.WithCredentials("orders", secret)),
//		auth.WithService("orders"),
//		auth.WithRules(auth.Rule{ID: "shop reads", Effect: auth.Allow, Subjects: []string{"shop"}, Actions: []string{"GET"}}),
//	)
//	http.ListenAndServe(addr, auth.Handler(au, mux))
//
// A request passes three gates, and each says no if anything is not as it
// should be:
//
//	credential ──► authenticate ──► alive? ──────► policy ──► handler
//	               signature or     expiry,        deny wins,
//	               the server's     revocation,    default deny
//	               opinion, cached  each time
//	               │                               │
//	               401 (503: nobody could be asked) 403
//
// # Backends
//
// Without one, New is an authority of its own in this process (an Authority).
// auth/issuer is an OAuth2 server in a library, with accounts, for other
// processes too. auth/oauth2 speaks to any OAuth2 or OpenID Connect server.
// auth/jwt verifies with keys of your own, auth/mtls takes client
// certificates, auth/static a list of tokens. authtest shows what all of them
// do alike; a driver of your own needs WithDriver.
//
// # Semantics
//
// Whoever calls is known by a Credential in the context, which middleware puts
// there: Handler for net/http, auth/grpc for gRPC. Authorized checks it and
// then asks the policy; handlers find the caller with FromContext, and may call
// Authorized again for a finer question.
//
// A verdict on a token is believed for WithCacheTTL, but its expiry and its
// revocation are looked at every time. Caches are keyed by a hash of the token,
// bounded, and hold refusals apart from acceptances, so that a flood of bad
// tokens can't push out the good ones. A token must name this service as its
// audience.
//
// A policy is a set of rules. Nothing is allowed unless a rule allows it; no
// rule allows what another denies; a condition that has no answer keeps an
// allowing rule from applying and makes a denying one apply. Policies can be
// replaced while in use, and a bad set leaves the old one in place.
//
// Calls to other services carry this service's own token, made for the service
// that is called: a caller's token is passed on or exchanged only to
// destinations that are said to get it. Token returns at once from its cache
// and renews behind the callers' backs.
//
// # Errors
//
// ErrUnauthenticated (with ErrNoCredential, ErrExpired, ErrRevoked below it) is
// 401, ErrDenied 403, everything else 503: Challenge. Peers never see the
// reason. Tokens and secrets appear in no error, log line, JSON or format.
//
// # Closing
//
// Close is idempotent, waits for what runs and ends renewals and feeds; later
// calls return ErrClosed.
package auth
