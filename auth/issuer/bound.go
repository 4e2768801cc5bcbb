package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/micro/go-platform/auth"
)

// confirmation is the claim cnf (RFC 7800): the key that the bearer of a token
// must show. Empty: whoever has the token may use it.
type confirmation struct {
	Certificate string `json:"x5t#S256,omitempty"` // RFC 8705
}

// thumbprint is of the certificate that the client has shown in the TLS
// handshake, or "".
func thumbprint(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// bind says which key a client's tokens are bound to in this request.
func (c *stored) bind(r *http.Request) error {
	if !c.CertificateBound {
		return nil
	}
	seen := thumbprint(r)
	if seen == "" {
		return bad("invalid_request", "this client's tokens are bound to its certificate, and it has shown none")
	}
	c.bound = &confirmation{Certificate: seen}
	return nil
}

// fits reports whether whoever sent the request may use the token.
func fits(t *auth.Token, r *http.Request) bool {
	cnf, there := t.Claims["cnf"]
	if !there {
		return true
	}
	m, _ := cnf.(map[string]any)
	want, _ := m["x5t#S256"].(string)
	return want != "" && want == thumbprint(r) && len(m) == 1
}
