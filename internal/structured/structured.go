// Package structured reads and writes lists of HTTP's structured field values
// (RFC 9651), as far as the header fields that are known here need them.
package structured

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Item is a member of a list. Its value, and those of its parameters, are of
// the types string, Token, int64, float64, bool, []byte, Date and Display; that
// of an inner list is an []Item.
type Item struct {
	Value  any
	Params []Param
}

// Param is a parameter.
type Param struct {
	Key   string
	Value any
}

type (
	Token   string // such as foo/bar
	Date    int64  // seconds since 1970
	Display string // Unicode
)

// Param returns the value of a parameter, nil if there is none.
func (i Item) Param(key string) any {
	for _, p := range i.Params {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}

// MaxBytes and MaxItems bound what ParseList reads: strangers send it.
const (
	MaxBytes = 8 << 10
	MaxItems = 256 // and parameters of an item
)

var errMalformed = errors.New("malformed structured field")

// ParseList reads a list from the lines of a field. As the RFC wants it, a field
// with one mistake is worth nothing.
func ParseList(lines []string) ([]Item, error) {
	size := 0
	for _, l := range lines {
		size += len(l) + 1
		if size > MaxBytes {
			return nil, errMalformed
		}
	}
	p := &parser{rest: strings.Trim(strings.Join(lines, ","), " ")}
	var list []Item
	for p.rest != "" {
		list = append(list, p.member())
		p.space(" \t")
		if p.failed || len(list) > MaxItems {
			return nil, errMalformed
		}
		if p.rest == "" {
			break
		}
		p.want(',')
		p.space(" \t")
		if p.failed || p.rest == "" { // a comma at the end
			return nil, errMalformed
		}
	}
	return list, nil
}

// AppendString appends a String, quoted. Characters that a String can't hold
// become "?".
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c > '~':
			b = append(b, '?')
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// parser reads from the front of rest. After a failure nothing that it returns
// counts.
type parser struct {
	rest   string
	failed bool
}

func (p *parser) fail() any { p.failed, p.rest = true, ""; return nil }

// peek is the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *parser) want(c byte) {
	if p.peek() != c {
		p.fail()
		return
	}
	p.rest = p.rest[1:]
}

func (p *parser) space(chars string) { p.rest = strings.TrimLeft(p.rest, chars) }

// take takes the longest beginning of which all bytes are ok.
func (p *parser) take(ok func(byte) bool) string {
	n := 0
	for n < len(p.rest) && ok(p.rest[n]) {
		n++
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

func (p *parser) member() Item {
	if p.peek() != '(' {
		return p.item()
	}
	p.want('(')
	inner := []Item{}
	for {
		p.space(" ")
		if p.peek() == ')' || p.failed {
			break
		}
		inner = append(inner, p.item())
		if c := p.peek(); c != ' ' && c != ')' || len(inner) > MaxItems {
			p.fail()
		}
	}
	p.want(')')
	return Item{inner, p.params()}
}

func (p *parser) item() Item {
	v := p.bare()
	return Item{v, p.params()}
}

func (p *parser) params() (all []Param) {
	for p.peek() == ';' && !p.failed {
		p.want(';')
		p.space(" ")
		one := Param{Key: p.key(), Value: true}
		if p.peek() == '=' {
			p.want('=')
			one.Value = p.bare()
		}
		all = set(all, one)
		if len(all) > MaxItems {
			p.fail()
		}
	}
	return all
}

// set adds a parameter; the last one of a name counts.
func set(all []Param, one Param) []Param {
	for i := range all {
		if all[i].Key == one.Key {
			all[i] = one
			return all
		}
	}
	return append(all, one)
}

func (p *parser) key() string {
	if c := p.peek(); !lower(c) && c != '*' {
		p.fail()
	}
	return p.take(func(c byte) bool { return lower(c) || digit(c) || strings.IndexByte("_-.*", c) >= 0 })
}

// bare reads a value by its first byte.
func (p *parser) bare() any {
	switch c := p.peek(); {
	case c == '-' || digit(c):
		return p.number()
	case c == '"':
		p.want('"')
		return p.quoted()
	case c == '*' || letter(c):
		return Token(p.take(func(c byte) bool { return c == ':' || c == '/' || tchar(c) }))
	case c == ':':
		return p.binary()
	case c == '?':
		return p.boolean()
	case c == '@':
		p.want('@')
		if n, ok := p.number().(int64); ok {
			return Date(n)
		}
	case c == '%':
		return p.display()
	}
	return p.fail()
}

// number reads an Integer of up to 15 digits, or a Decimal of up to 12 and 3.
func (p *parser) number() any {
	sign := ""
	if p.peek() == '-' {
		p.want('-')
		sign = "-"
	}
	whole := p.take(digit)
	if whole == "" {
		return p.fail()
	}
	if p.peek() != '.' {
		if len(whole) > 15 {
			return p.fail()
		}
		n, _ := strconv.ParseInt(sign+whole, 10, 64)
		return n
	}
	p.want('.')
	part := p.take(digit)
	if len(whole) > 12 || len(part) == 0 || len(part) > 3 {
		return p.fail()
	}
	f, _ := strconv.ParseFloat(sign+whole+"."+part, 64)
	return f
}

// quoted reads a String behind its first quote.
func (p *parser) quoted() any {
	var b strings.Builder
	for {
		b.WriteString(p.take(func(c byte) bool { return c >= ' ' && c <= '~' && c != '"' && c != '\\' }))
		if p.peek() != '\\' {
			p.want('"')
			return b.String()
		}
		p.want('\\')
		c := p.peek()
		if c != '"' && c != '\\' {
			return p.fail()
		}
		p.want(c)
		b.WriteByte(c)
	}
}

func (p *parser) binary() any {
	p.want(':')
	text := p.take(func(c byte) bool { return letter(c) || digit(c) || c == '+' || c == '/' || c == '=' })
	p.want(':')
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return p.fail()
	}
	return b
}

func (p *parser) boolean() any {
	p.want('?')
	c := p.peek()
	if c != '0' && c != '1' {
		return p.fail()
	}
	p.want(c)
	return c == '1'
}

// display reads a Display String: UTF-8, with what isn't ASCII as %xx.
func (p *parser) display() any {
	p.want('%')
	p.want('"')
	var b []byte
	for {
		b = append(b, p.take(func(c byte) bool { return c >= ' ' && c <= '~' && c != '"' && c != '%' })...)
		if p.peek() != '%' {
			p.want('"')
			break
		}
		if len(p.rest) < 3 || strings.ToLower(p.rest[1:3]) != p.rest[1:3] {
			return p.fail()
		}
		n, err := strconv.ParseUint(p.rest[1:3], 16, 8)
		if err != nil {
			return p.fail()
		}
		b, p.rest = append(b, byte(n)), p.rest[3:]
	}
	if !utf8.Valid(b) {
		return p.fail()
	}
	return Display(b)
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func lower(c byte) bool  { return c >= 'a' && c <= 'z' }
func letter(c byte) bool { return lower(c) || c >= 'A' && c <= 'Z' }
func tchar(c byte) bool {
	return letter(c) || digit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 && c != 0
}
