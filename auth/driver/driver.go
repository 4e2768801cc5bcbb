// Package driver is for authors of backends of package auth, and of middleware
// for other protocols: what a driver or an auth.Auth may do beyond its
// interface. Users of an Auth do not need it. It is imported as authdriver.
//
// Each ability is an interface that a driver has if it has the methods: what
// auth.New returns finds it by type assertion. Package auth/authtest shows
// whether a driver keeps the rules.
package driver

import (
	"context"
	"fmt"
	"strings"

	"github.com/micro/go-platform/auth"
)

// Pinger is a driver that can ask whether its authority answers. New calls it
// within the dial timeout.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Source is a driver that gets tokens for this service from its authority. It
// does not cache: the front does. r.Previous is the token that is about to
// expire, if there was one; a driver may refresh by it but must fall back to a
// fresh grant when that is refused. An error that has a method RetryAfter()
// time.Duration says how long the authority wants not to be asked.
type Source interface {
	Obtain(ctx context.Context, r auth.TokenRequest) (*auth.Token, error)
}

// Revoker is a driver that can end a token at its authority.
type Revoker interface {
	Revoke(ctx context.Context, t *auth.Token) error
}

// Prover is a driver, or an Auth, that has the key to which its own tokens are
// bound (RFC 9449). Prove returns the value of the DPoP header for one request
// to a URL with a token of the type DPoP; nonce is what that service wants in
// it, or empty. What auth.New returns is a Prover; without a driver that is one,
// the error is auth.ErrUnsupported.
type Prover interface {
	Prove(method, url string, token auth.Secret, nonce string) (auth.Secret, error)
}

// NonceRequirer is an Auth that may want a nonce in proofs of possession (RFC
// 9449 section 9). ProofNonce returns the one that it wants now; it is empty if
// it wants none. Middleware sends it to callers of the scheme DPoP, with every
// answer: in the header DPoP-Nonce, or in metadata of that name. What auth.New
// returns is a NonceRequirer.
type NonceRequirer interface {
	ProofNonce() string
}

// CheckFullMethod returns an auth.ErrPath unless a gRPC call's full method is a
// service and a method, with nothing in it that could be decoded or cleaned.
// gRPC hands any path to the handler of unknown services, and whoever gets it
// from there may read it in another way than a policy did. Package auth/grpc
// and package wrapper call it before anything else.
func CheckFullMethod(full string) error {
	rest, ok := strings.CutPrefix(full, "/")
	if !ok || !strings.Contains(rest, "/") {
		return fmt.Errorf("%w: not a service and a method", auth.ErrPath)
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.IndexFunc(segment, notName) >= 0 {
			return fmt.Errorf("%w: the segment %.64q of a full method", auth.ErrPath, segment)
		}
	}
	return nil
}

// notName reports what is in no name of a service or method.
func notName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-$", r))
}
