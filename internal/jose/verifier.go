package jose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// KeySource finds the keys of one issuer. With an id it returns the keys of
// that id, without one every key. ErrNoKey says that there is none; any other
// error that the keys could not be had.
type KeySource interface {
	Keys(ctx context.Context, id string) ([]*Key, error)
}

// Keys is a KeySource that never changes.
type Keys []*Key

// Keys implements KeySource.
func (ks Keys) Keys(_ context.Context, id string) ([]*Key, error) {
	if id == "" {
		if len(ks) == 0 {
			return nil, ErrNoKey
		}
		return ks, nil
	}
	var found []*Key
	for _, k := range ks {
		if k.ID == id {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: id %.64q", ErrNoKey, id)
	}
	return found, nil
}

// Verifier checks the tokens of one issuer.
type Verifier struct {
	Issuer     string   // must equal iss, byte for byte
	Algorithms []string // the only ones accepted
	Keys       KeySource
	Leeway     time.Duration // for clocks that differ
	Now        func() time.Time
	Types      []string // accepted typ headers in lower case, "" for none given; nil: those of access tokens
	Untyped    bool     // with Types nil: also access tokens that say typ JWT or nothing
}

// The types of access tokens: RFC 9068 section 4, and what servers send that
// don't know it.
var (
	accessTypes  = []string{"at+jwt", "application/at+jwt"}
	untypedTypes = []string{"", "jwt"}
)

// tries bounds how many keys are tried for a token that names none.
const tries = 8

// Verify checks the signature, the issuer and the times of a token and returns
// its claims. exp is required. The audience is left to the caller.
func (v *Verifier) Verify(ctx context.Context, raw string) (map[string]any, error) {
	m, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	return v.VerifyMessage(ctx, m)
}

// VerifyMessage is Verify of a token that was parsed already, for instance to
// find its issuer.
func (v *Verifier) VerifyMessage(ctx context.Context, m *Message) (map[string]any, error) {
	if !slices.Contains(v.Algorithms, m.Algorithm) {
		return nil, fmt.Errorf("%w: algorithm %s, want one of %s", ErrFormat, m.Algorithm, v.Algorithms)
	}
	typ := strings.ToLower(m.Type) // RFC 8725 section 3.11: one kind of token is not another
	untyped := v.Types == nil && v.Untyped && slices.Contains(untypedTypes, typ)
	if want := v.Types; !untyped {
		if want == nil {
			want = accessTypes
		}
		if !slices.Contains(want, typ) {
			return nil, fmt.Errorf("%w: typ %.32q, want %q", ErrType, m.Type, want)
		}
	}
	if err := v.signature(ctx, m); err != nil {
		return nil, err
	}
	claims, err := ParseObject(m.Payload)
	if err != nil {
		return nil, err
	}
	if untyped {
		if err := NotAccess(claims); err != nil {
			return nil, err
		}
	}
	return claims, v.check(claims)
}

// NotAccess returns why claims are not those of an access token, although
// nothing says what they are of. Some servers say it: Keycloak in "typ", Cognito
// and Hydra in "token_use". Of the others, those are not that have what only ID tokens
// (OpenID Connect Core sections 2 and 3.3.2.11), logout tokens or security
// events (RFC 8417) have.
func NotAccess(claims map[string]any) error {
	for _, name := range [...]string{"typ", "token_use"} {
		v, there := claims[name]
		if !there {
			continue
		}
		switch s, _ := v.(string); strings.ToLower(s) {
		case "bearer", "dpop", "access", "access_token":
			return nil
		default:
			return fmt.Errorf("%w: not an access token: %s is %.32q", ErrType, name, s)
		}
	}
	for _, name := range [...]string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
		if _, there := claims[name]; there {
			return fmt.Errorf("%w: not an access token: it has %s", ErrType, name)
		}
	}
	return nil
}

func (v *Verifier) signature(ctx context.Context, m *Message) error {
	keys, err := v.Keys.Keys(ctx, m.KeyID)
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(slices.Clone(keys), func(k *Key) bool { return !k.Accepts(m.Algorithm) })
	switch {
	case len(keys) == 0:
		return fmt.Errorf("%w: no key for %s", ErrNoKey, m.Algorithm)
	case m.KeyID != "" && len(keys) > 1: // whoever can add a key must not be able to shadow one
		return fmt.Errorf("%w: %d keys with one id", ErrKey, len(keys))
	}
	for _, k := range keys[:min(len(keys), tries)] {
		err = m.Verify(k)
		if err == nil {
			return nil
		}
	}
	return err
}

func (v *Verifier) check(claims map[string]any) error {
	if iss, _ := claims["iss"].(string); iss != v.Issuer || iss == "" {
		return fmt.Errorf("%w: %.128q, want %q", ErrIssuer, iss, v.Issuer)
	}
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	t := now()
	exp, there, err := Time(claims, "exp")
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%w: no exp", ErrClaims)
	}
	if !t.Before(exp.Add(v.Leeway)) {
		return fmt.Errorf("%w at %s", ErrExpired, exp.UTC().Format(time.RFC3339))
	}
	for _, name := range [...]string{"nbf", "iat"} {
		from, there, err := Time(claims, name)
		if err != nil {
			return err
		}
		if there && t.Before(from.Add(-v.Leeway)) {
			return fmt.Errorf("%w: %s is in the future", ErrClaims, name)
		}
	}
	return nil
}

// Time reads a NumericDate (RFC 7519 section 2) between 1970 and 9999.
func Time(claims map[string]any, name string) (t time.Time, there bool, err error) {
	const last = 253402300799
	switch n := claims[name].(type) {
	case nil:
		if _, there := claims[name]; !there {
			return time.Time{}, false, nil
		}
	case int64:
		if n >= 0 && n <= last {
			return time.Unix(n, 0), true, nil
		}
	case float64:
		if n >= 0 && n <= last {
			whole := int64(n)
			return time.Unix(whole, int64((n-float64(whole))*1e9)), true, nil
		}
	}
	return time.Time{}, false, fmt.Errorf("%w: %s is no date", ErrClaims, name)
}

// Strings reads a claim that is one string or a list of strings. Anything else
// is an error, so that nobody mistakes it for "not given".
func Strings(claims map[string]any, name string) ([]string, error) {
	switch v := claims[name].(type) {
	case nil:
		if _, there := claims[name]; !there {
			return nil, nil
		}
	case string:
		return []string{v}, nil
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("%w: %s holds something other than strings", ErrClaims, name)
			}
			list = append(list, s)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%w: %s is neither a string nor a list of them", ErrClaims, name)
}
