package jose

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON may nest.
const maxDepth = 32

// ParseObject parses one JSON object (RFC 8259) and nothing after it.
// A member's name may occur once. Strings are valid UTF-8, with no lone
// surrogates. A whole number that fits is an int64, any other a float64: an
// identifier of 64 bits keeps its last digits. encoding/json accepts
// repetitions and lets the last win, which is how two readers of one token
// come to see two different ones.
func ParseObject(b []byte) (map[string]any, error) {
	p := parser{b: b}
	p.space()
	if p.i >= len(p.b) || p.b[p.i] != '{' {
		return nil, fmt.Errorf("%w: not a JSON object", ErrFormat)
	}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.i != len(p.b) {
		return nil, p.fail("data after the object")
	}
	return v.(map[string]any), nil
}

type parser struct {
	b []byte
	i int
}

func (p *parser) fail(what string) error {
	return fmt.Errorf("%w: JSON: %s at byte %d", ErrFormat, what, p.i)
}

func (p *parser) space() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, p.fail("nested too deep")
	}
	if p.i >= len(p.b) {
		return nil, p.fail("unexpected end")
	}
	switch c := p.b[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.str()
	case c == 't':
		return true, p.word("true")
	case c == 'f':
		return false, p.word("false")
	case c == 'n':
		return nil, p.word("null")
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	return nil, p.fail("unexpected character")
}

func (p *parser) word(w string) error {
	if len(p.b)-p.i < len(w) || string(p.b[p.i:p.i+len(w)]) != w {
		return p.fail("unexpected character")
	}
	p.i += len(w)
	return nil
}

func (p *parser) object(depth int) (any, error) {
	p.i++
	m := make(map[string]any, 8)
	for p.space(); ; p.space() {
		if p.i < len(p.b) && p.b[p.i] == '}' && len(m) == 0 {
			p.i++
			return m, nil
		}
		if p.i >= len(p.b) || p.b[p.i] != '"' {
			return nil, p.fail("a member's name expected")
		}
		name, err := p.str()
		if err != nil {
			return nil, err
		}
		if _, twice := m[name]; twice {
			return nil, p.fail("a member's name occurs twice")
		}
		p.space()
		if p.i >= len(p.b) || p.b[p.i] != ':' {
			return nil, p.fail("colon expected")
		}
		p.i++
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		m[name] = v
		p.space()
		if p.i >= len(p.b) {
			return nil, p.fail("unexpected end")
		}
		switch p.b[p.i] {
		case ',':
			p.i++
		case '}':
			p.i++
			return m, nil
		default:
			return nil, p.fail("comma or brace expected")
		}
	}
}

func (p *parser) array(depth int) (any, error) {
	p.i++
	a := []any{}
	for p.space(); ; p.space() {
		if p.i < len(p.b) && p.b[p.i] == ']' && len(a) == 0 {
			p.i++
			return a, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
		p.space()
		if p.i >= len(p.b) {
			return nil, p.fail("unexpected end")
		}
		switch p.b[p.i] {
		case ',':
			p.i++
		case ']':
			p.i++
			return a, nil
		default:
			return nil, p.fail("comma or bracket expected")
		}
	}
}

func (p *parser) str() (string, error) {
	p.i++
	start := p.i
	for p.i < len(p.b) { // the usual case: nothing to unescape
		c := p.b[p.i]
		if c == '"' {
			s := p.b[start:p.i]
			if !utf8.Valid(s) {
				return "", p.fail("invalid UTF-8")
			}
			p.i++
			return string(s), nil
		}
		if c == '\\' {
			return p.escaped(start)
		}
		if c < ' ' {
			return "", p.fail("control character in a string")
		}
		p.i++
	}
	return "", p.fail("unexpected end")
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escaped(start int) (string, error) {
	out := append([]byte(nil), p.b[start:p.i]...)
	for p.i < len(p.b) {
		c := p.b[p.i]
		p.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", p.fail("invalid UTF-8")
			}
			return string(out), nil
		case c < ' ':
			return "", p.fail("control character in a string")
		case c != '\\':
			out = append(out, c)
		case p.i >= len(p.b):
			return "", p.fail("unexpected end")
		case p.b[p.i] == 'u':
			p.i--
			r, err := p.unicode()
			if err != nil {
				return "", err
			}
			if utf16.IsSurrogate(r) {
				low, err := p.unicode()
				if err != nil {
					return "", err
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return "", p.fail("lone surrogate")
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			e := escapes[p.b[p.i]]
			if e == 0 {
				return "", p.fail("unknown escape")
			}
			out = append(out, e)
			p.i++
		}
	}
	return "", p.fail("unexpected end")
}

// unicode reads \uXXXX.
func (p *parser) unicode() (rune, error) {
	if len(p.b)-p.i < 6 || p.b[p.i] != '\\' || p.b[p.i+1] != 'u' {
		return 0, p.fail("bad unicode escape")
	}
	var r rune
	for _, c := range p.b[p.i+2 : p.i+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, p.fail("bad unicode escape")
		}
	}
	p.i += 6
	return r, nil
}

func (p *parser) digits() bool {
	start := p.i
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		p.i++
	}
	return p.i > start
}

func (p *parser) number() (any, error) {
	start, whole := p.i, true
	if p.b[p.i] == '-' {
		p.i++
	}
	first := p.i
	if !p.digits() || p.b[first] == '0' && p.i > first+1 {
		return nil, p.fail("bad number")
	}
	if p.i < len(p.b) && p.b[p.i] == '.' {
		whole = false
		if p.i++; !p.digits() {
			return nil, p.fail("bad number")
		}
	}
	if p.i < len(p.b) && (p.b[p.i] == 'e' || p.b[p.i] == 'E') {
		whole = false
		if p.i++; p.i < len(p.b) && (p.b[p.i] == '+' || p.b[p.i] == '-') {
			p.i++
		}
		if !p.digits() {
			return nil, p.fail("bad number")
		}
	}
	text := string(p.b[start:p.i])
	if whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, p.fail("number out of range")
	}
	return f, nil
}
