package baggage

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Parse reads values of the header, which may be repeated. What is good is
// returned together with an error about the first member that was dropped.
func Parse(lines ...string) (Baggage, error) {
	var p parser
	for _, line := range lines {
		p.line(line)
	}
	if p.err != nil {
		p.err = invalid("parse", "%w", p.err)
	}
	if len(p.out.members) == 0 {
		return Baggage{}, p.err
	}
	return build(p.out.members), p.err
}

// parser gathers members while they are within the limits.
type parser struct {
	out  Baggage // without its text
	read int     // bytes of all lines
	size int     // of the text so far, with a comma for each member
	full bool
	err  error // about the first member that was dropped
}

// line reads one header. Only members that lie within the first MaxBytes of
// all lines are read, so that a stranger decides about no more work.
func (p *parser) line(s string) {
	room := max(MaxBytes-p.read, -1)
	long := len(s) > room
	if long {
		p.drop(fmt.Errorf("more than %d bytes", MaxBytes))
		s = s[:max(strings.LastIndexByte(s[:room+1], ','), 0)]
	}
	p.read += len(s) + 1 // the comma between lines
	for member := range strings.SplitSeq(s, ",") {
		if p.full {
			return
		}
		member = trim(member)
		if member != "" {
			p.member(member)
		}
	}
	p.full = p.full || long
}

func (p *parser) member(s string) {
	m, err := parseMember(s)
	if err != nil {
		p.drop(err)
		return
	}
	i, size := p.out.index(m.Name), p.size+m.size()+1
	if i >= 0 {
		size -= p.out.members[i].size() + 1
	}
	switch {
	case i < 0 && len(p.out.members) == MaxMembers:
		p.full = true
		p.drop(fmt.Errorf("more than %d members", MaxMembers))
	case size-1 > MaxBytes: // an escape of a byte that is no UTF-8 grows
		p.full = true
		p.drop(fmt.Errorf("more than %d bytes", MaxBytes))
	case i >= 0:
		p.out.members[i], p.size = m, size
	default:
		p.out.members, p.size = append(p.out.members, m), size
	}
}

func (p *parser) drop(err error) {
	if p.err == nil {
		p.err = err
	}
}

func parseMember(s string) (m Member, err error) {
	pair, rest, more := strings.Cut(s, ";")
	name, value, ok := strings.Cut(pair, "=")
	m.Name = trim(name)
	if !ok || !isToken(m.Name) {
		return m, fmt.Errorf("member %q is not name=value", s)
	}
	m.Value, err = parseValue(value)
	if err != nil {
		return m, fmt.Errorf("the value of %q: %w", m.Name, err)
	}
	for more {
		pair, rest, more = strings.Cut(rest, ";")
		if trim(pair) == "" {
			continue
		}
		var property Property
		name, value, property.HasValue = strings.Cut(pair, "=")
		property.Name = trim(name)
		if !isToken(property.Name) {
			return m, fmt.Errorf("property %q of %q is not name or name=value", pair, m.Name)
		}
		property.Value, err = parseValue(value)
		if err != nil {
			return m, fmt.Errorf("the value of property %q of %q: %w", property.Name, m.Name, err)
		}
		m.Properties = append(m.Properties, property)
	}
	return m, nil
}

// parseValue decodes a value. Escapes that are no UTF-8 become U+FFFD, as the
// specification says.
func parseValue(s string) (string, error) {
	s = trim(s)
	for i := range len(s) {
		if !octet(s[i]) {
			return "", fmt.Errorf("byte %q", s[i])
		}
	}
	s, err := url.PathUnescape(s)
	if err != nil || utf8.ValidString(s) {
		return s, err
	}
	return string([]rune(s)), nil
}

func trim(s string) string { return strings.Trim(s, " \t") }
