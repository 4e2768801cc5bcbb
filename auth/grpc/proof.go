package grpc

import (
	"context"
	"fmt"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
)

// The names of metadata, which are those of HTTP's headers.
const (
	proofKey     = "dpop"
	nonceKey     = "dpop-nonce"
	challengeKey = "www-authenticate"
)

// proofOf reads the proof of possession of a call (RFC 9449); nil if there is
// none. It is for a POST to the URL of the method, as gRPC sends it over HTTP/2.
func proofOf(ctx context.Context) (*auth.Proof, error) {
	values := metadata.ValueFromIncomingContext(ctx, proofKey)
	if len(values) == 0 {
		return nil, nil
	}
	authority := metadata.ValueFromIncomingContext(ctx, ":authority")
	method, ok := grpc.Method(ctx)
	if len(values) > 1 || len(values[0]) > 16<<10 || len(authority) != 1 || !ok {
		return nil, fmt.Errorf("%w: more than one, too long, or for no address", auth.ErrProof)
	}
	scheme := "http"
	if p, there := peer.FromContext(ctx); there {
		scheme = schemeOf(p.AuthInfo)
	}
	return &auth.Proof{JWT: auth.Secret(values[0]), Method: http.MethodPost, URL: scheme + "://" + authority[0] + method}, nil
}

func schemeOf(info credentials.AuthInfo) string {
	if info != nil && info.AuthType() == "tls" {
		return "https"
	}
	return "http"
}

// Answer is the metadata that goes with the answer to a caller of the scheme
// DPoP, as trailers: the nonce that a wants in its next proof (see
// auth.WithNonces) and, if Authorized returned err, why it was refused, in
// "www-authenticate". It is empty for others.
func Answer(a auth.Auth, scheme string, err error) metadata.MD {
	md := metadata.MD{}
	if scheme != "DPoP" {
		return md
	}
	if r, ok := a.(authdriver.NonceRequirer); ok {
		nonce := r.ProofNonce()
		if nonce != "" {
			md.Set(nonceKey, nonce)
		}
	}
	if err != nil {
		_, challenge := auth.Challenge(err)
		if challenge != "" {
			md.Set(challengeKey, challenge)
		}
	}
	return md
}
