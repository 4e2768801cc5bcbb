package baggage

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
)

// ErrInvalid is the kind of errors about members that can't be in baggage.
var ErrInvalid = fault.Of("trace/baggage", fault.Invalid)

// The limits of the specification (section 3.3.2), which every implementation
// passes on.
const (
	MaxMembers = 64
	MaxBytes   = 8192 // of the header's value
)

// Baggage is a list of members with different names. It does not change, so
// that contexts and goroutines can share it. The zero value is empty.
type Baggage struct {
	members []Member
	text    string
}

// Member is a named value.
type Member struct {
	Name       string // a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~
	Value      string // any UTF-8 text, which may be empty
	Properties []Property
}

// Property is something said about a member. The specification gives no
// meaning to any.
type Property struct {
	Name  string // a token, as Member.Name
	Value string // any UTF-8 text
	// HasValue tells "name=" from "name" where Value is empty. A Value that is
	// not empty needs no HasValue.
	HasValue bool
}

// Len is the number of members.
func (b Baggage) Len() int { return len(b.members) }

// Value returns the value of a member, "" if there is none.
func (b Baggage) Value(name string) string {
	m, _ := b.Get(name)
	return m.Value
}

// Get returns the member of a name. Its Properties must not be changed.
func (b Baggage) Get(name string) (Member, bool) {
	i := b.index(name)
	if i < 0 {
		return Member{}, false
	}
	return b.members[i], true
}

// All returns the members in their order in the header. Their Properties must
// not be changed.
func (b Baggage) All() iter.Seq[Member] { return slices.Values(b.members) }

// String returns the value of the header.
func (b Baggage) String() string { return b.text }

// With returns baggage with m, which replaces a member of its name. An error
// says that m breaks the grammar or that a limit would be exceeded; b is
// returned then. m.Properties is copied.
func (b Baggage) With(m Member) (Baggage, error) {
	if err := m.check(); err != nil {
		return b, invalid("with", "%w", err)
	}
	m.Properties = slices.Clone(m.Properties)
	members := slices.Clone(b.members)
	if i := b.index(m.Name); i >= 0 {
		members[i] = m
	} else {
		members = append(members, m)
	}
	if len(members) > MaxMembers {
		return b, invalid("with", "%q is one member more than %d", m.Name, MaxMembers)
	}
	out := build(members)
	if len(out.text) > MaxBytes {
		return b, invalid("with", "%q makes it %d bytes, more than %d", m.Name, len(out.text), MaxBytes)
	}
	return out, nil
}

// Without returns baggage without the members of these names.
func (b Baggage) Without(names ...string) Baggage {
	if !slices.ContainsFunc(names, func(n string) bool { return b.index(n) >= 0 }) {
		return b
	}
	return build(slices.DeleteFunc(slices.Clone(b.members), func(m Member) bool { return slices.Contains(names, m.Name) }))
}

func (b Baggage) index(name string) int {
	return slices.IndexFunc(b.members, func(m Member) bool { return m.Name == name })
}

// build returns baggage of valid members.
func build(members []Member) Baggage {
	size := 0
	for _, m := range members {
		size += m.size() + 1
	}
	var text strings.Builder
	text.Grow(max(size-1, 0))
	for i, m := range members {
		if i > 0 {
			text.WriteByte(',')
		}
		m.write(&text)
	}
	return Baggage{members, text.String()}
}

func (m Member) check() error {
	if !isToken(m.Name) {
		return fmt.Errorf("name %q is not a token", m.Name)
	}
	if !utf8.ValidString(m.Value) {
		return fmt.Errorf("the value of %q is not UTF-8", m.Name)
	}
	for _, p := range m.Properties {
		if !isToken(p.Name) {
			return fmt.Errorf("the name %q of a property of %q is not a token", p.Name, m.Name)
		}
		if !utf8.ValidString(p.Value) {
			return fmt.Errorf("the value of property %q of %q is not UTF-8", p.Name, m.Name)
		}
	}
	return nil
}

func invalid(op, format string, args ...any) error {
	return fault.New(ErrInvalid, "trace/baggage", op, "", format, args...)
}
