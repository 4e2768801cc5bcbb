package auth

import (
	"fmt"
	"strings"
	"time"

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
	date := func(name string) time.Time {
		d, _, err := jose.Time(claims, name)
		errs = append(errs, err)
		return d
	}
	t.Issuer, t.Subject, t.ID, t.ClientID = text("iss"), text("sub"), text("jti"), text("client_id")
	if t.ClientID == "" {
		t.ClientID = text("azp")
	}
	t.Audience = list("aud")
	scopes := "scope"
	if _, there := claims[scopes]; !there {
		scopes = "scp"
	}
	t.Scopes = strings.Fields(strings.Join(list(scopes), " "))
	t.Roles = list("roles")
	if t.Roles == nil {
		t.Roles = list("role")
	}
	t.ExpiresAt, t.NotBefore, t.IssuedAt = date("exp"), date("nbf"), date("iat")
	if err := fault.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	return t, nil
}
