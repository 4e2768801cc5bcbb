package baggage

import "strings"

// write writes m as a list-member of the specification (section 3.3.1).
func (m Member) write(to *strings.Builder) {
	to.WriteString(m.Name)
	to.WriteByte('=')
	escape(to, m.Value)
	for _, p := range m.Properties {
		to.WriteByte(';')
		to.WriteString(p.Name)
		if p.written() {
			to.WriteByte('=')
			escape(to, p.Value)
		}
	}
}

// size is the number of bytes that write writes.
func (m Member) size() int {
	n := len(m.Name) + 1 + escaped(m.Value)
	for _, p := range m.Properties {
		n += 1 + len(p.Name)
		if p.written() {
			n += 1 + escaped(p.Value)
		}
	}
	return n
}

func (p Property) written() bool { return p.HasValue || p.Value != "" }

const upperHex = "0123456789ABCDEF"

// escape writes s with percent-encoding where the grammar asks for it.
func escape(to *strings.Builder, s string) {
	for i := range len(s) {
		c := s[i]
		if plain(c) {
			to.WriteByte(c)
		} else {
			to.WriteByte('%')
			to.WriteByte(upperHex[c>>4])
			to.WriteByte(upperHex[c&15])
		}
	}
}

// escaped is the length of what escape writes.
func escaped(s string) int {
	n := len(s)
	for i := range len(s) {
		if !plain(s[i]) {
			n += 2
		}
	}
	return n
}

// plain reports whether a byte of a value stands for itself: a baggage-octet
// that is not the percent sign.
func plain(c byte) bool { return octet(c) && c != '%' }

// octet reports whether c is a baggage-octet of the grammar: printable ASCII
// but space, quote, comma, semicolon and backslash.
func octet(c byte) bool {
	return c > ' ' && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\'
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
