package config

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string, whose opening quote comes next.
func (p *parser) text() (string, error) {
	p.pos++
	from := p.pos
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			s := p.data[from:p.pos]
			if !utf8.Valid(s) {
				return "", p.fail("text is not valid UTF-8")
			}
			p.pos++
			return string(s), nil
		case c == '\\':
			return p.escaped(from)
		case c < ' ':
			return "", p.fail("control character %s in text", p.here())
		}
		p.pos++
	}
	return "", p.fail("text without closing quote")
}

// escaped continues text at the first backslash.
func (p *parser) escaped(from int) (string, error) {
	out := append([]byte(nil), p.data[from:p.pos]...)
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		p.pos++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", p.fail("text is not valid UTF-8")
			}
			return string(out), nil
		case c < ' ':
			p.pos--
			return "", p.fail("control character %s in text", p.here())
		case c != '\\':
			out = append(out, c)
			continue
		}
		if p.pos == len(p.data) {
			break
		}
		c = p.data[p.pos]
		p.pos++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := p.hex()
			if utf16.IsSurrogate(r) {
				var low rune
				if ok = ok && p.word(`\u`); ok {
					low, ok = p.hex()
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					ok = false
				}
			}
			if !ok {
				return "", p.fail(`malformed \u escape`)
			}
			out = utf8.AppendRune(out, r)
		default:
			p.pos--
			return "", p.fail("unknown escape %s", p.here())
		}
	}
	return "", p.fail("text without closing quote")
}

func (p *parser) hex() (rune, bool) {
	if p.pos+4 > len(p.data) {
		return 0, false
	}
	var r rune
	for _, c := range p.data[p.pos : p.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.pos += 4
	return r, true
}
