package auth

import (
	"fmt"
	"strings"
)

// Presenter shows tokens to other services. It makes the proofs of tokens that
// are bound to a key (RFC 9449), and remembers which nonce each origin wants in
// them. It is what Transport, auth/grpc and package wrapper are made of, for
// clients of other protocols. It is safe for concurrent use.
type Presenter struct {
	auth   Auth
	nonces *lru[string, string] // by origin
}

// NewPresenter returns a Presenter for tokens that a gave.
func NewPresenter(a Auth) *Presenter {
	return &Presenter{auth: a, nonces: newLRU[string, string](256)}
}

// Presentation is how one request shows a token. A request that is sent again
// needs another one: services accept a proof once.
type Presentation struct {
	Authorization Secret // "Bearer …" or "DPoP …"
	Proof         Secret // of the header DPoP; empty for bearer tokens
	origin, nonce string
}

// Present returns how to show t to a request. url is what the service believes
// that it is called: scheme, host and path. An Auth that has no key for the
// token's proofs is ErrUnsupported.
func (p *Presenter) Present(t *Token, method, url string) (Presentation, error) {
	if !strings.EqualFold(t.Type, "DPoP") {
		return Presentation{Authorization: "Bearer " + t.AccessToken}, nil
	}
	key, ok := p.auth.(prover)
	if !ok {
		return Presentation{}, fmt.Errorf("%w: a token bound to a key, and nobody who has the key", ErrUnsupported)
	}
	shown := Presentation{Authorization: "DPoP " + t.AccessToken, origin: originOf(url)}
	shown.nonce, _ = p.nonces.get(shown.origin)
	var err error
	shown.Proof, err = key.Prove(method, url, t.AccessToken, shown.nonce)
	return shown, err
}

// Answered notes what a service answered: its header DPoP-Nonce and, if it
// refused to authenticate, WWW-Authenticate. again reports that it wanted a
// nonce that shown lacks: the request was not processed, and may be sent once
// more with what Present returns now.
func (p *Presenter) Answered(shown Presentation, nonce, challenge string) (again bool) {
	if shown.Proof == "" || nonce == "" || len(nonce) > 1024 || nonce == shown.nonce {
		return false
	}
	p.nonces.put(shown.origin, nonce)
	return strings.Contains(challenge, "use_dpop_nonce")
}

// originOf is the scheme and host of a URL.
func originOf(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return strings.ToLower(scheme + "://" + host)
}
