package issuer

import (
	"errors"
	"net/http"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/internal/dpop"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

// confirmation is the claim cnf (RFC 7800): the keys that the bearer of a token
// must show. nil: whoever has the token may use it.
type confirmation struct {
	Certificate string `json:"x5t#S256,omitempty"` // RFC 8705
	Key         string `json:"jkt,omitempty"`      // RFC 9449
}

// tokenType is what a client is told about its token.
func (c *confirmation) tokenType() string {
	if c != nil && c.Key != "" {
		return "DPoP"
	}
	return "Bearer"
}

// thumbprint is of the certificate that the client has shown in the TLS
// handshake, or "".
func thumbprint(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	return jose.Digest(r.TLS.PeerCertificates[0].Raw)
}

// bind says which keys a client's tokens are bound to in this request.
func (i *Issuer) bind(r *http.Request, c *stored) error {
	var to confirmation
	if c.CertificateBound {
		to.Certificate = thumbprint(r)
		if to.Certificate == "" {
			return bad("invalid_request", "this client's tokens are bound to its certificate, and it has shown none")
		}
	}
	p, err := i.proof(r)
	switch {
	case err != nil:
		return err
	case p != nil:
		to.Key = p.Thumbprint
	case c.DPoPBound:
		return bad("invalid_request", "this client's tokens are bound to its key, and it has shown no proof")
	}
	if to != (confirmation{}) {
		c.bound = &to
	}
	return nil
}

// proof reads the proof of possession of a request (RFC 9449); nil if it has
// none. Each is good once.
func (i *Issuer) proof(r *http.Request) (*dpop.Proof, error) {
	raw, there, err := dpop.FromRequest(r)
	if err != nil || !there {
		return nil, badProof(err)
	}
	p, err := dpop.Verify(raw, r.Method, i.url+strings.TrimPrefix(r.URL.Path, i.path), i.now())
	if err != nil {
		return nil, badProof(err)
	}
	err = i.store.Put(r.Context(), "dpop/"+digest(p.Thumbprint+"."+p.ID), []byte("1"), 0, 2*dpop.Window)
	switch {
	case errors.Is(err, fault.Conflict):
		return nil, bad("invalid_dpop_proof", "the proof was used before")
	case err != nil:
		return nil, fault.Mark(auth.ErrUnavailable, err)
	}
	return p, nil
}

func badProof(err error) error {
	if err == nil {
		return nil
	}
	return bad("invalid_dpop_proof", "%v", err)
}

// fits reports whether whoever sent the request may use the token. scheme is
// the one of its Authorization header.
func (i *Issuer) fits(t *auth.Token, scheme string, r *http.Request) (bool, error) {
	cnf, there := t.Claims["cnf"]
	m, ok := cnf.(map[string]any)
	if there && (!ok || len(m) == 0) {
		return false, nil
	}
	bound := false
	for name, want := range m {
		switch name {
		case "x5t#S256":
			if seen := thumbprint(r); seen == "" || want != seen {
				return false, nil
			}
		case "jkt":
			bound = true
			if !strings.EqualFold(scheme, "DPoP") {
				return false, nil // it would be a bearer token again
			}
			p, err := i.proof(r)
			if err != nil || p == nil {
				return false, err
			}
			if want != p.Thumbprint || p.TokenHash != dpop.Hash(string(t.AccessToken)) {
				return false, nil
			}
		default: // a way of binding that isn't known here
			return false, nil
		}
	}
	return bound == strings.EqualFold(scheme, "DPoP"), nil
}
