package strictjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a string, unescaped.
func (r *Reader) Text() (string, error) {
	r.pos++
	from := r.pos
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; {
		case c == '"':
			s := r.data[from:r.pos]
			if !utf8.Valid(s) {
				return "", r.fail("text is not valid UTF-8")
			}
			r.pos++
			return string(s), nil
		case c == '\\':
			return r.escaped(from)
		case c < ' ':
			return "", r.fail("control character %s in text", r.here())
		}
		r.pos++
	}
	return "", r.fail("text without closing quote")
}

// escaped continues text at the first backslash.
func (r *Reader) escaped(from int) (string, error) {
	out := append([]byte(nil), r.data[from:r.pos]...)
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		r.pos++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", r.fail("text is not valid UTF-8")
			}
			return string(out), nil
		case c < ' ':
			r.pos--
			return "", r.fail("control character %s in text", r.here())
		case c != '\\':
			out = append(out, c)
			continue
		}
		if r.pos == len(r.data) {
			break
		}
		c = r.data[r.pos]
		r.pos++
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
			c, ok := r.hex()
			if utf16.IsSurrogate(c) {
				var low rune
				ok = ok && r.word(`\u`)
				if ok {
					low, ok = r.hex()
				}
				c = utf16.DecodeRune(c, low)
				if c == utf8.RuneError {
					ok = false
				}
			}
			if !ok {
				return "", r.fail(`malformed \u escape`)
			}
			out = utf8.AppendRune(out, c)
		default:
			r.pos--
			return "", r.fail("unknown escape %s", r.here())
		}
	}
	return "", r.fail("text without closing quote")
}

// hex reads the four digits of a \u escape.
func (r *Reader) hex() (rune, bool) {
	if r.pos+4 > len(r.data) {
		return 0, false
	}
	var v rune
	for _, c := range r.data[r.pos : r.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			v = v<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	r.pos += 4
	return v, true
}
