package config

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// JSON is the format of RFC 8259, read strictly: one document, valid UTF-8, no
// duplicate keys, no lone surrogates. A byte order mark is skipped.
type JSON struct{}

// Name returns "json".
func (JSON) Name() string { return "json" }

// Extensions returns ".json".
func (JSON) Extensions() []string { return []string{".json"} }

// Parse reads one document. Its nodes carry line and column.
func (JSON) Parse(data []byte) (*Node, error) {
	p := parser{data: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), line: 1}
	p.space()
	if p.pos == len(p.data) {
		return nil, &SyntaxError{Problem: "empty document"}
	}
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.data) {
		return nil, p.fail("unexpected %s after the document", p.here())
	}
	return n, nil
}

type parser struct {
	data  []byte
	pos   int
	line  int
	start int // of the line
	count int
	slab  []Node // to be handed out: one allocation for many nodes
}

func (p *parser) node() *Node {
	if len(p.slab) == 0 {
		p.slab = make([]Node, min(64, 4+len(p.data)/32))
	}
	n := &p.slab[0]
	p.slab = p.slab[1:]
	return n
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{Line: p.line, Column: p.pos - p.start + 1, Problem: fmt.Sprintf(format, args...)}
}

// here describes the next character for an error.
func (p *parser) here() string {
	if p.pos >= len(p.data) {
		return "end of document"
	}
	r, _ := utf8.DecodeRune(p.data[p.pos:])
	return strconv.QuoteRune(r)
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case '\n':
			p.line++
			p.start = p.pos + 1
		case ' ', '\t', '\r':
		default:
			return
		}
		p.pos++
	}
}

func (p *parser) value(depth int) (*Node, error) {
	if depth > maxDepth {
		return nil, p.fail("nested deeper than %d levels", maxDepth)
	}
	if p.count++; p.count > maxNodes {
		return nil, p.fail("more than %d values", maxNodes)
	}
	if p.pos == len(p.data) {
		return nil, p.fail("unexpected end of document")
	}
	n := p.node()
	n.Line, n.Column = p.line, p.pos-p.start+1
	var err error
	switch c := p.data[p.pos]; {
	case c == '{':
		n.Kind = Object
		err = p.object(n, depth)
	case c == '[':
		n.Kind = Array
		err = p.array(n, depth)
	case c == '"':
		n.Kind = String
		n.Text, err = p.text()
	case c == '-' || c >= '0' && c <= '9':
		n.Kind = Number
		from := p.pos
		for p.pos < len(p.data) && numeric(p.data[p.pos]) {
			p.pos++
		}
		if n.Text = string(p.data[from:p.pos]); !validNumber(n.Text) {
			p.pos = from
			err = p.fail("malformed number") // which may be somebody's password
		}
	case p.word("true"):
		n.Kind, n.Bool = Bool, true
	case p.word("false"):
		n.Kind = Bool
	case p.word("null"):
		n.Kind = Null
	default:
		err = p.fail("unexpected %s, want a value", p.here())
	}
	return n, err
}

func numeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

func (p *parser) word(w string) bool {
	if !bytes.HasPrefix(p.data[p.pos:], []byte(w)) {
		return false
	}
	p.pos += len(w)
	return true
}

func (p *parser) object(n *Node, depth int) error {
	p.pos++
	if p.space(); p.peek('}') {
		return nil
	}
	for {
		if p.pos == len(p.data) || p.data[p.pos] != '"' {
			return p.fail("unexpected %s, want a key in quotes", p.here())
		}
		key, err := p.text()
		if err != nil {
			return err
		}
		if p.space(); !p.peek(':') {
			return p.fail("unexpected %s, want ':' after key %q", p.here(), clip(key))
		}
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		if n.Members == nil {
			n.Members = make([]Member, 0, 8)
		}
		n.Members = append(n.Members, Member{key, v})
		p.space()
		switch {
		case p.peek('}'):
			return nil
		case !p.peek(','):
			return p.fail("unexpected %s, want ',' or '}'", p.here())
		}
		p.space()
	}
}

func (p *parser) array(n *Node, depth int) error {
	p.pos++
	if p.space(); p.peek(']') {
		return nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, v)
		p.space()
		switch {
		case p.peek(']'):
			return nil
		case !p.peek(','):
			return p.fail("unexpected %s, want ',' or ']'", p.here())
		}
		p.space()
	}
}

// peek steps over c if it comes next.
func (p *parser) peek(c byte) bool {
	if p.pos < len(p.data) && p.data[p.pos] == c {
		p.pos++
		return true
	}
	return false
}
