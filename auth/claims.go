package auth

import (
	"fmt"
	"strings"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

// TokenFromClaims makes a Token of the claims of a JWT (RFC 9068) or of an
// introspection response (RFC 7662), as encoding/json decodes them or with
// whole numbers as int64. Drivers use it. Roles are in "roles", or in "role".
// A registered claim of a wrong type is an ErrUnauthenticated.
func TokenFromClaims(claims map[string]any) (*Token, error) {
	t := &Token{Type: "Bearer", Claims: claims}
	var errs []error
	text := func(name string) string {
		v, there := claims[name]
		s, ok := v.(string)
		if there && !ok {
			errs = append(errs, fmt.Errorf("%s is no string", name))
		}
		return s
	}
	list := func(name string) []string {
		l, err := jose.Strings(claims, name)
		errs = append(errs, err)
		return l
	}
	t.Issuer, t.Subject, t.ID, t.ClientID = text("iss"), text("sub"), text("jti"), text("client_id")
	if t.ClientID == "" {
		t.ClientID = text("azp")
	}
	t.Audience = list("aud")
	if _, there := claims["scope"]; there {
		t.Scopes = strings.Fields(strings.Join(list("scope"), " "))
	} else {
		t.Scopes = strings.Fields(strings.Join(list("scp"), " "))
	}
	t.Roles = list("roles")
	if t.Roles == nil {
		t.Roles = list("role")
	}
	var err error
	t.ExpiresAt, _, err = jose.Time(claims, "exp")
	errs = append(errs, err)
	t.NotBefore, _, err = jose.Time(claims, "nbf")
	errs = append(errs, err)
	t.IssuedAt, _, err = jose.Time(claims, "iat")
	errs = append(errs, err)
	if err := fault.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	return t, nil
}
