package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// assertionLife bounds how long an assertion may be good, and so how long it
	// is remembered.
	assertionLife   = time.Hour
	assertionLeeway = 30 * time.Second
)

// parseKeys reads a client's JWK set.
func parseKeys(set json.RawMessage) (jose.Keys, error) {
	keys, err := jose.ParseWhole(set)
	if err != nil {
		return nil, fmt.Errorf("%w: keys: %v", auth.ErrInvalid, err)
	}
	return keys, nil
}

// asserted authenticates a client by a JWT that it has signed: private_key_jwt
// of OpenID Connect Core section 9, RFC 7523 section 3. Each is good once. The
// audience is this issuer alone, so that none which was made for another server
// is good here.
func (i *Issuer) asserted(r *http.Request, f url.Values) (stored, error) {
	if f.Get("client_assertion_type") != assertionType {
		return stored{}, fmt.Errorf("%w: type of the assertion", auth.ErrUnauthenticated)
	}
	m, err := jose.Parse(f.Get("client_assertion"))
	if err != nil {
		return stored{}, fmt.Errorf("%w: assertion: %w", auth.ErrUnauthenticated, err)
	}
	said, err := jose.ParseObject(m.Payload)
	if err != nil {
		return stored{}, fmt.Errorf("%w: assertion: %w", auth.ErrUnauthenticated, err)
	}
	id, _ := said["sub"].(string)
	if id == "" || f.Get("client_id") != "" && f.Get("client_id") != id {
		return stored{}, fmt.Errorf("%w: subject of the assertion", auth.ErrUnauthenticated)
	}
	c, err := i.lookup(r.Context(), id)
	if err == nil && (c.Type != Service || c.Disabled || len(c.Keys) == 0) {
		err = errWho
	}
	if err != nil {
		return stored{}, err
	}
	keys, err := parseKeys(c.Keys)
	if err != nil {
		return stored{}, err
	}
	v := jose.Verifier{
		Issuer: id, Algorithms: jose.Asymmetric, Keys: keys, Now: i.now, Leeway: assertionLeeway,
		Types: []string{"", "jwt", "client-authentication+jwt"},
	}
	claims, err := v.VerifyMessage(r.Context(), m)
	if err != nil {
		return stored{}, fmt.Errorf("%w: assertion: %v", auth.ErrUnauthenticated, err)
	}
	return c, i.onceAsserted(r, id, claims)
}

// onceAsserted checks what a verified assertion is for, and remembers it.
func (i *Issuer) onceAsserted(r *http.Request, id string, claims map[string]any) error {
	audience, err := jose.Strings(claims, "aud")
	mine := []string{i.url, i.url + "/token", i.url + strings.TrimPrefix(r.URL.Path, i.path)}
	if err != nil || len(audience) != 1 || !slices.Contains(mine, audience[0]) {
		return fmt.Errorf("%w: audience of the assertion", auth.ErrUnauthenticated)
	}
	jti, _ := claims["jti"].(string)
	if jti == "" {
		return fmt.Errorf("%w: an assertion without jti", auth.ErrUnauthenticated)
	}
	ends, _, err := jose.Time(claims, "exp")
	left := ends.Sub(i.now())
	if err != nil || left > assertionLife {
		return fmt.Errorf("%w: an assertion that is good for %s, want an hour or less", auth.ErrUnauthenticated, left)
	}
	err = i.store.Put(r.Context(), "assertion/"+digest(id+"\x00"+jti), []byte("1"), 0, left+2*assertionLeeway)
	switch {
	case errors.Is(err, fault.Conflict):
		i.warn("auth/issuer: an assertion was used twice", "client", id, "client.address", i.from(r))
		return fmt.Errorf("%w: the assertion was used before", auth.ErrUnauthenticated)
	case err != nil:
		return fault.Mark(auth.ErrUnavailable, err)
	}
	return nil
}
