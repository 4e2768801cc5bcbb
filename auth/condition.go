package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Condition compares an attribute with a value, with another attribute, or
// with any of several values.
//
// Attributes are "token.subject", "token.issuer", "token.client", "token.id",
// "token.audience", "token.scopes", "token.roles", "token.expires";
// "claims.<name>" with dots going into objects; "request.service",
// "request.action", "request.resource", and "request.<name>" of
// Request.Attributes.
//
// A condition on an attribute that isn't there, or of another type than what it
// is compared with, has no answer. An allowing rule then does not apply; a
// denying one does. "exists" and "missing" are the way to ask.
type Condition struct {
	Attribute string `json:"attribute" yaml:"attribute" toml:"attribute"`
	Op        string `json:"op" yaml:"op" toml:"op"`                                        // eq ne lt le gt ge in prefix contains within exists missing
	Value     any    `json:"value,omitempty" yaml:"value,omitempty" toml:"value,omitempty"` // string, bool or number; of "in" a list; of "within" networks (CIDR)
	Other     string `json:"other,omitempty" yaml:"other,omitempty" toml:"other,omitempty"` // an attribute in the place of Value
}

var errUnknown = errors.New("no answer")

type condition struct {
	left, right attribute
	op          string
	value       scalar   // unless right is set
	values      []scalar // of in
	networks    []netip.Prefix
}

// scalar is a comparable value without an interface, so that comparing doesn't
// allocate.
type scalar struct {
	kind byte // 0 none, 's' string, 'b' bool, 'i' int64, 'f' float64, 't' time, 'l' list of strings, 'a' list of any
	s    string
	i    int64
	f    float64
	t    time.Time
	l    []string
	a    []any
}

func scalarOf(v any) scalar {
	switch v := v.(type) {
	case string:
		return scalar{kind: 's', s: v}
	case bool:
		if v {
			return scalar{kind: 'b', i: 1}
		}
		return scalar{kind: 'b'}
	case int:
		return scalar{kind: 'i', i: int64(v)}
	case int32:
		return scalar{kind: 'i', i: int64(v)}
	case int64:
		return scalar{kind: 'i', i: v}
	case uint32:
		return scalar{kind: 'i', i: int64(v)}
	case float64:
		return scalar{kind: 'f', f: v}
	case time.Time:
		return scalar{kind: 't', t: v}
	case []string:
		return scalar{kind: 'l', l: v}
	case []any:
		return scalar{kind: 'a', a: v}
	}
	return scalar{}
}

// compare returns -1, 0 or 1; ok is false for values that have no order or are
// of different types. Whole and broken numbers compare with each other.
func (a scalar) compare(b scalar) (n int, ok bool) {
	sign := func(less, more bool) (int, bool) {
		switch {
		case less:
			return -1, true
		case more:
			return 1, true
		}
		return 0, true
	}
	switch {
	case a.kind == 's' && b.kind == 's':
		return strings.Compare(a.s, b.s), true
	case a.kind == 'i' && b.kind == 'i', a.kind == 'b' && b.kind == 'b':
		return sign(a.i < b.i, a.i > b.i)
	case a.kind == 't' && b.kind == 't':
		return a.t.Compare(b.t), true
	case a.kind == 'i' && b.kind == 'f':
		return sign(float64(a.i) < b.f, float64(a.i) > b.f)
	case a.kind == 'f' && b.kind == 'i':
		return sign(a.f < float64(b.i), a.f > float64(b.i))
	case a.kind == 'f' && b.kind == 'f' && a.f == a.f && b.f == b.f:
		return sign(a.f < b.f, a.f > b.f)
	case a.kind == 't' && b.kind == 's':
		if t, err := time.Parse(time.RFC3339, b.s); err == nil {
			return a.t.Compare(t), true
		}
	}
	return 0, false
}

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
			m, ok := v.(map[string]any)
			if !ok {
				return scalar{}
			}
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

func compileCondition(c Condition) (condition, error) {
	out := condition{op: c.Op}
	var err error
	if out.left, err = compileAttribute(c.Attribute); err != nil {
		return out, err
	}
	if c.Other != "" {
		if c.Value != nil {
			return out, fmt.Errorf("%w: condition on %q has both a value and another attribute", ErrInvalid, c.Attribute)
		}
		if out.right, err = compileAttribute(c.Other); err != nil {
			return out, err
		}
	}
	bad := func(want string) error {
		return fmt.Errorf("%w: condition %s %s: value %v, want %s", ErrInvalid, c.Attribute, c.Op, c.Value, want)
	}
	v := scalarOf(c.Value)
	single := v.kind != 0 && v.kind != 'l' && v.kind != 'a'
	out.value = v
	switch c.Op {
	case "exists", "missing":
		if c.Value != nil || c.Other != "" {
			return out, bad("none")
		}
	case "eq", "ne", "contains", "lt", "le", "gt", "ge":
		if c.Other == "" && !single {
			return out, bad("a string, a bool or a number")
		}
	case "prefix":
		if c.Other == "" && v.kind != 's' {
			return out, bad("a string")
		}
	case "in":
		if c.Other != "" {
			break
		}
		if out.values = v.items(); len(out.values) == 0 {
			return out, bad("a list")
		}
	case "within":
		list := v.items()
		if v.kind == 's' {
			list = []scalar{v}
		}
		for _, n := range list {
			p, err := netip.ParsePrefix(n.s)
			if err != nil {
				return out, bad("networks such as 10.0.0.0/8")
			}
			out.networks = append(out.networks, p.Masked())
		}
		if len(out.networks) == 0 {
			return out, bad("networks such as 10.0.0.0/8")
		}
	default:
		return out, fmt.Errorf("%w: condition on %q: operator %q", ErrInvalid, c.Attribute, c.Op)
	}
	return out, nil
}

// items are the elements of a list, or nothing of anything else.
func (a scalar) items() []scalar {
	var list []scalar
	for _, s := range a.l {
		list = append(list, scalar{kind: 's', s: s})
	}
	for _, v := range a.a {
		list = append(list, scalarOf(v))
	}
	return list
}

// holds reports whether a list holds v.
func (a scalar) holds(v scalar) (in, ok bool) {
	switch a.kind {
	case 'l':
		for _, s := range a.l {
			if n, same := v.compare(scalar{kind: 's', s: s}); same && n == 0 {
				return true, true
			}
		}
		return false, true
	case 'a':
		for _, e := range a.a {
			if n, same := v.compare(scalarOf(e)); same && n == 0 {
				return true, true
			}
		}
		return false, true
	}
	return false, false
}

// eval answers, or returns errUnknown.
func (c *condition) eval(t *Token, r *Request) (bool, error) {
	left := c.left.get(t, r)
	switch c.op {
	case "exists":
		return left.kind != 0, nil
	case "missing":
		return left.kind == 0, nil
	}
	right := c.value
	if c.right.root != "" {
		right = c.right.get(t, r) // one that isn't there compares with nothing
	}
	if left.kind == 0 {
		return false, errUnknown
	}
	switch c.op {
	case "contains":
		if in, ok := left.holds(right); ok {
			return in, nil
		}
		// One string stands for a list of one, as in an "aud" claim. It is never
		// searched: "nonadmin" does not contain "admin".
		if n, ok := left.compare(right); ok && left.kind == 's' {
			return n == 0, nil
		}
		return false, errUnknown
	case "in":
		if c.right.root != "" {
			in, ok := right.holds(left)
			if !ok {
				return false, errUnknown
			}
			return in, nil
		}
		comparable := false
		for _, v := range c.values {
			n, ok := left.compare(v)
			if ok && n == 0 {
				return true, nil
			}
			comparable = comparable || ok
		}
		if !comparable {
			return false, errUnknown
		}
		return false, nil
	case "prefix":
		if left.kind != 's' || right.kind != 's' {
			return false, errUnknown
		}
		return strings.HasPrefix(left.s, right.s), nil
	case "within":
		ip, err := netip.ParseAddr(left.s)
		if err != nil {
			return false, errUnknown
		}
		for _, p := range c.networks {
			if p.Contains(ip.Unmap()) {
				return true, nil
			}
		}
		return false, nil
	}
	n, ok := left.compare(right)
	if !ok {
		return false, errUnknown
	}
	switch c.op {
	case "eq":
		return n == 0, nil
	case "ne":
		return n != 0, nil
	case "lt":
		return n < 0, nil
	case "le":
		return n <= 0, nil
	case "gt":
		return n > 0, nil
	}
	return n >= 0, nil
}
