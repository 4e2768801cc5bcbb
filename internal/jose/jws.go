package jose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

var encoding = base64.RawURLEncoding.Strict()

// decode is base64url without padding, in its one spelling: no line breaks,
// which encoding/base64 skips, and no bits left over.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%w: line break in base64url", ErrFormat)
	}
	b, err := encoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return b, nil
}

// Message is a JWS in compact form that was read but not yet verified.
type Message struct {
	Algorithm string // what the header asks for: a claim to compare, never to obey
	KeyID     string
	Type      string         // typ
	JWK       map[string]any // jwk, the sender's own word; nil if there is none
	Payload   []byte

	signed    string
	signature []byte
}

// Parse reads a JWS in compact form. Nothing of it may be believed before
// Verify has returned nil.
func Parse(raw string) (*Message, error) {
	if len(raw) > MaxToken {
		return nil, fmt.Errorf("%w: %d bytes, want %d or less", ErrFormat, len(raw), MaxToken)
	}
	head, rest, ok := strings.Cut(raw, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(sig, ".") {
		return nil, fmt.Errorf("%w: not three parts", ErrFormat)
	}
	h, err := decode(head)
	if err != nil {
		return nil, err
	}
	m := &Message{signed: raw[:len(head)+1+len(body)]}
	if err := m.header(h); err != nil {
		return nil, err
	}
	m.Payload, err = decode(body)
	if err != nil {
		return nil, err
	}
	m.signature, err = decode(sig)
	if err != nil {
		return nil, err
	}
	if len(m.signature) == 0 {
		return nil, fmt.Errorf("%w: no signature", ErrFormat)
	}
	return m, nil
}

// header reads the protected header. jku, x5c and x5u are not looked at, and jwk
// is for proofs of possession alone.
func (m *Message) header(b []byte) error {
	h, err := ParseObject(b)
	if err != nil {
		return err
	}
	err = texts(h, map[string]*string{"alg": &m.Algorithm, "kid": &m.KeyID, "typ": &m.Type})
	if err != nil {
		return err
	}
	m.JWK, _ = h["jwk"].(map[string]any)
	if !Known(m.Algorithm) {
		return fmt.Errorf("%w: algorithm %q", ErrFormat, m.Algorithm)
	}
	if _, there := h["crit"]; there { // RFC 7515 section 4.1.11: none is understood here
		return fmt.Errorf("%w: critical extension", ErrFormat)
	}
	if _, there := h["b64"]; there { // RFC 7797 demands crit with it
		return fmt.Errorf("%w: unencoded payload", ErrFormat)
	}
	return nil
}

// Verify checks the signature with a key, which must accept the message's
// algorithm.
func (m *Message) Verify(k *Key) error {
	if !k.Accepts(m.Algorithm) {
		return fmt.Errorf("%w: the key is not for %s", ErrSignature, m.Algorithm)
	}
	if !algorithms[m.Algorithm].verify(k.public, []byte(m.signed), m.signature) {
		return ErrSignature
	}
	return nil
}

// Sign returns the JWS in compact form over the payload. typ may be empty.
func (s *Signer) Sign(typ string, payload []byte) (string, error) {
	h, _ := json.Marshal(struct { // strings only: it can't fail
		Alg string `json:"alg"`
		Kid string `json:"kid,omitempty"`
		Typ string `json:"typ,omitempty"`
	}{s.name, s.public.ID, typ})
	return s.sign(h, payload)
}

// SignWithKey is Sign with the public key in the header (jwk) in the place of
// its id, as proofs of possession have it (RFC 9449 section 4.2).
func (s *Signer) SignWithKey(typ string, payload []byte) (string, error) {
	jwk, err := MarshalKey(s.public)
	if err != nil {
		return "", err
	}
	h, err := json.Marshal(struct {
		Alg string          `json:"alg"`
		Typ string          `json:"typ"`
		JWK json.RawMessage `json:"jwk"`
	}{s.name, typ, jwk})
	if err != nil {
		return "", err
	}
	return s.sign(h, payload)
}

func (s *Signer) sign(h, payload []byte) (string, error) {
	signed := encoding.EncodeToString(h) + "." + encoding.EncodeToString(payload)
	sig, err := s.alg.sign(s.key, []byte(signed))
	if err != nil {
		return "", err
	}
	return signed + "." + encoding.EncodeToString(sig), nil
}
