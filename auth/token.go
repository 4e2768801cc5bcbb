package auth

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Secret is a string that no output shows: fmt with every verb, log/slog,
// encoding/json and text all print "[redacted]". Convert it with string(s)
// where it has to be used.
type Secret string

const redacted = "[redacted]"

// String returns "[redacted]", or "" of an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format prints as String does, for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue hides the secret from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON hides the secret from encoding/json.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(b []byte) error { *s = Secret(b); return nil }

// Token is a verified statement about somebody, or one that an authority has
// just issued. Tokens are shared between goroutines and come out of caches: do
// not change one, or what its slices and maps hold.
type Token struct {
	AccessToken  Secret // what to send
	RefreshToken Secret // of an authorization code flow; usually empty
	IDToken      Secret // of an OpenID Connect flow; usually empty
	Type         string // "Bearer"; "DPoP" if bound to a key (see Prover); "mTLS" of a client certificate

	ID       string   // the token's own identifier (jti); may be empty
	Issuer   string   // who issued it
	Subject  string   // who it is about
	ClientID string   // the client that it was issued to
	Audience []string // whom it is for
	Scopes   []string // what the bearer may ask for
	Roles    []string // what the subject is

	IssuedAt, NotBefore, ExpiresAt time.Time // zero: not said

	Claims map[string]any // everything that the authority said, as JSON values
}

// Bound reports whether only who has a key may use the token: its claim cnf
// (RFC 7800) names a key (RFC 9449) or a client certificate (RFC 8705).
func (t *Token) Bound() bool {
	if t == nil {
		return false
	}
	_, there := t.Claims["cnf"]
	return there || strings.EqualFold(t.Type, "DPoP")
}

// HasScope reports whether the token carries the scope.
func (t *Token) HasScope(s string) bool { return t != nil && slices.Contains(t.Scopes, s) }

// HasRole reports whether the subject has the role.
func (t *Token) HasRole(r string) bool { return t != nil && slices.Contains(t.Roles, r) }

// Expired reports whether the token's life is over at now. A token without an
// expiry never expires.
func (t *Token) Expired(now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// String names the token without its secrets.
func (t *Token) String() string {
	if t == nil {
		return "token(none)"
	}
	return fmt.Sprintf("token(subject=%q issuer=%q id=%q)", t.Subject, t.Issuer, t.ID)
}

// LogValue gives log/slog the token's identity without its secrets or claims.
func (t *Token) LogValue() slog.Value {
	if t == nil {
		return slog.StringValue("none")
	}
	return slog.GroupValue(
		slog.String("subject", t.Subject), slog.String("issuer", t.Issuer),
		slog.String("client", t.ClientID), slog.String("id", t.ID), slog.Time("expires", t.ExpiresAt))
}
