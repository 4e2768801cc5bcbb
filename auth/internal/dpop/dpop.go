// Package dpop reads proofs of possession (RFC 9449): a JWT by which whoever
// sends a request shows that it has a key.
package dpop

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/jose"
)

// Header is where a request has its proof.
const Header = "DPoP"

// Window is how far the time of a proof may be from now. A proof has to be
// remembered for twice as long.
const Window = time.Minute

// ErrProof is every reason for which a proof is not good.
var ErrProof = errors.New("bad proof of possession")

// Proof is what a proof says that was found good.
type Proof struct {
	Thumbprint string // of the key (RFC 7638): the claim cnf.jkt of a token that is bound to it
	ID         string // jti: whoever takes the proof must see that it is used once
	Nonce      string
	TokenHash  string // ath: Hash of the access token that it goes with
}

// Hash is how a proof names an access token.
func Hash(token string) string { return jose.Digest(token) }

// FromRequest returns the proof of a request, raw. there is false without one;
// two are an error.
func FromRequest(r *http.Request) (raw string, there bool, err error) {
	switch values := r.Header.Values(Header); len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	default:
		return "", true, fmt.Errorf("%w: more than one", ErrProof)
	}
}

// Verify checks a proof for a request to a URL (RFC 9449 section 4.3), except
// that it is used once and which token it goes with: those are the caller's.
func Verify(raw, method, to string, now time.Time) (*Proof, error) {
	m, err := jose.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	}
	if !strings.EqualFold(m.Type, "dpop+jwt") || !slices.Contains(jose.Asymmetric, m.Algorithm) {
		return nil, fmt.Errorf("%w: type %.32q, algorithm %s", ErrProof, m.Type, m.Algorithm)
	}
	key, err := headerKey(m.JWK)
	if err == nil {
		err = m.Verify(key)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	}
	claims, err := jose.ParseObject(m.Payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	}
	text := func(name string) string { s, _ := claims[name].(string); return s }
	made, _, err := jose.Time(claims, "iat") // of the year 1 if there is none
	switch {
	case text("jti") == "" || len(text("jti")) > 1024:
		return nil, fmt.Errorf("%w: jti", ErrProof)
	case text("htm") != method:
		return nil, fmt.Errorf("%w: for the method %.16q", ErrProof, text("htm"))
	case !sameURL(text("htu"), to):
		return nil, fmt.Errorf("%w: for another address", ErrProof)
	case err != nil || made.Sub(now).Abs() > Window:
		return nil, fmt.Errorf("%w: of another time", ErrProof)
	}
	return &Proof{Thumbprint: jose.Thumbprint(key.Public()), ID: text("jti"), Nonce: text("nonce"), TokenHash: text("ath")}, nil
}

// headerKey checks the public key that a proof carries.
func headerKey(jwk map[string]any) (*jose.Key, error) {
	if jwk == nil {
		return nil, errors.New("no jwk")
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, there := jwk[private]; there {
			return nil, errors.New("a key that isn't public")
		}
	}
	return jose.PublicKey(jwk)
}

// sameURL compares addresses without query and fragment, after the
// normalisation of RFC 3986 sections 6.2.2 and 6.2.3.
func sameURL(a, b string) bool {
	na, ok := normal(a)
	nb, _ := normal(b)
	return ok && na == nb
}

func normal(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return "", false
	}
	host := strings.ToLower(u.Host)
	switch strings.ToLower(u.Scheme) {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return strings.ToLower(u.Scheme) + "://" + host + path, true
}
