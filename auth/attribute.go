package auth

import (
	"fmt"
	"strings"
)

// attribute is a compiled name.
type attribute struct {
	root string // "token", "claims", "request"
	path []string
}

func compileAttribute(name string) (attribute, error) {
	root, rest, ok := strings.Cut(name, ".")
	a := attribute{root: root, path: []string{rest}}
	if !ok || rest == "" {
		return a, fmt.Errorf("%w: attribute %q", ErrInvalid, name)
	}
	switch root {
	case "token":
		switch rest {
		case "subject", "issuer", "client", "id", "audience", "scopes", "roles", "expires":
			return a, nil
		}
	case "claims":
		a.path = strings.Split(rest, ".")
		return a, nil
	case "request":
		return a, nil
	}
	return a, fmt.Errorf("%w: attribute %q", ErrInvalid, name)
}

func (a attribute) get(t *Token, r *Request) scalar {
	switch a.root {
	case "token":
		return tokenAttribute(a.path[0], t)
	case "claims":
		var v any = t.Claims
		for _, name := range a.path {
			m, _ := v.(map[string]any)
			v = m[name]
		}
		return scalarOf(v)
	}
	switch a.path[0] {
	case "service":
		return scalar{kind: 's', s: r.Service}
	case "action":
		return scalar{kind: 's', s: r.Action}
	case "resource":
		return scalar{kind: 's', s: r.Resource}
	}
	return scalarOf(r.Attributes[a.path[0]])
}

func tokenAttribute(name string, t *Token) scalar {
	text := ""
	switch name {
	case "subject":
		text = t.Subject
	case "issuer":
		text = t.Issuer
	case "client":
		text = t.ClientID
	case "id":
		text = t.ID
	case "audience":
		return scalar{kind: 'l', l: t.Audience}
	case "scopes":
		return scalar{kind: 'l', l: t.Scopes}
	case "roles":
		return scalar{kind: 'l', l: t.Roles}
	case "expires":
		if t.ExpiresAt.IsZero() {
			return scalar{}
		}
		return scalar{kind: 't', t: t.ExpiresAt}
	}
	if text == "" {
		return scalar{} // an empty identity is none: two missing subjects aren't the same person
	}
	return scalar{kind: 's', s: text}
}
