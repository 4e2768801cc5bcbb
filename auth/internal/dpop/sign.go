package dpop

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/micro/go-platform/internal/jose"
)

// Sign makes a proof for a request to a URL (RFC 9449 section 4.2). token is
// the access token that it goes with, nonce what the server wants in it; both
// may be empty.
func Sign(s *jose.Signer, method, to, token, nonce string, now time.Time) (string, error) {
	address, ok := normal(to)
	if !ok {
		return "", ErrProof
	}
	claims := struct {
		ID     string `json:"jti"`
		Method string `json:"htm"`
		URL    string `json:"htu"`
		Time   int64  `json:"iat"`
		Token  string `json:"ath,omitempty"`
		Nonce  string `json:"nonce,omitempty"`
	}{ID: rand.Text(), Method: method, URL: address, Time: now.Unix(), Nonce: nonce}
	if token != "" {
		claims.Token = Hash(token)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return s.SignWithKey("dpop+jwt", b)
}
