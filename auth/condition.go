package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
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
// Strings are compared byte for byte, numbers exactly, times with times or with
// strings of RFC 3339. "contains" looks for a value in an attribute that is a
// list (a string is a list of one), "in" for the attribute in a list; "within"
// asks whether an IP address is in a network.
//
// A condition has no answer if an attribute isn't there, Other included, or is
// of another type than what it is compared with; of a list, if it is not empty
// and all of it is. An allowing rule then does not apply; a denying one does,
// unless another of its conditions is false. "exists" and "missing" are the way
// to ask: null, and an empty list of the token's own, are missing.
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
	value       scalar // unless right is set
	networks    []netip.Prefix
}

func compileCondition(c Condition) (condition, error) {
	out := condition{op: c.Op}
	var err error
	out.left, err = compileAttribute(c.Attribute)
	if err != nil {
		return out, err
	}
	if c.Other != "" {
		if c.Value != nil {
			return out, fmt.Errorf("%w: condition on %q has both a value and another attribute", ErrInvalid, c.Attribute)
		}
		out.right, err = compileAttribute(c.Other)
		if err != nil {
			return out, err
		}
	}
	bad := func(want string) error {
		return fmt.Errorf("%w: condition %s %s: value %v, want %s", ErrInvalid, c.Attribute, c.Op, c.Value, want)
	}
	v := scalarOf(c.Value)
	out.value = v
	switch c.Op {
	case "exists", "missing":
		if c.Value != nil || c.Other != "" {
			return out, bad("none")
		}
	case "eq", "ne", "contains", "lt", "le", "gt", "ge":
		if c.Other == "" && !v.single() {
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
		items := v.items()
		if len(items) == 0 || slices.ContainsFunc(items, func(v scalar) bool { return !v.single() }) {
			return out, bad("a list of strings, bools or numbers")
		}
		out.value.l, out.value.a = slices.Clone(v.l), slices.Clone(v.a)
	case "within":
		list := v.items()
		if v.kind == 's' {
			list = []scalar{v}
		}
		for _, n := range list {
			p, err := netip.ParsePrefix(n.s)
			if err != nil || p.Addr().Is4In6() { // addresses are compared as IPv4: no mapped network would hold one
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

// eval answers, or returns errUnknown.
func (c *condition) eval(t *Token, r *Request) (bool, error) {
	left := c.left.get(t, r)
	switch there := left.kind != 0 && !(c.left.root == "token" && left.kind == 'l' && len(left.l) == 0); c.op {
	case "exists":
		return there, nil
	case "missing":
		return !there, nil
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
		if left.kind != 's' {
			return answer(left.holds(right))
		}
		// One string stands for a list of one, as in an "aud" claim. It is never
		// searched: "nonadmin" does not contain "admin".
		n, ok := left.compare(right)
		return answer(n == 0, ok)
	case "in":
		return answer(right.holds(left))
	case "prefix":
		return answer(strings.HasPrefix(left.s, right.s), left.kind == 's' && right.kind == 's')
	case "within":
		ip, err := netip.ParseAddr(left.s)
		if err != nil {
			return false, errUnknown
		}
		ip = ip.Unmap().WithZone("") // a network has no zone
		return slices.ContainsFunc(c.networks, func(p netip.Prefix) bool { return p.Contains(ip) }), nil
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

func answer(yes, known bool) (bool, error) {
	if !known {
		return false, errUnknown
	}
	return yes, nil
}
