package strictjson

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is what a value is.
type Kind uint8

// The kinds of values.
const (
	Object Kind = iota + 1
	Array
	String
	Number
	True
	False
	Null
)

// Reader reads one text. Its user asks for the kind of the next value with Next
// and reads the value with Object, Array, Text or Number; True, False and Null are
// read with their kind. Comparing the names of an object is up to the user, who
// keeps them anyway: see Twice.
type Reader struct {
	data            []byte
	pos             int
	line, start     int // start is where the line begins
	depth, maxDepth int
}

// NewReader returns a reader of data. A value may be within maxDepth objects and
// arrays.
func NewReader(data []byte, maxDepth int) *Reader {
	return &Reader{data: data, line: 1, maxDepth: maxDepth}
}

// Position returns where the reader is: in a callback of Object or Array, where
// the value begins.
func (r *Reader) Position() (line, column int) { return r.line, r.pos - r.start + 1 }

// Empty reports whether only white space is left.
func (r *Reader) Empty() bool {
	r.space()
	return r.pos == len(r.data)
}

// End fails if anything but white space is left.
func (r *Reader) End() error {
	if !r.Empty() {
		return r.fail("unexpected %s after the document", r.here())
	}
	return nil
}

// Twice returns the error of an object in which the name that was just read occurs
// a second time.
func (r *Reader) Twice() error { return r.fail("a member's name occurs twice") }

// Next returns the kind of the next value.
func (r *Reader) Next() (Kind, error) {
	if r.depth > r.maxDepth {
		return 0, r.fail("nested deeper than %d levels", r.maxDepth)
	}
	if r.Empty() {
		return 0, r.fail("unexpected end of document")
	}
	switch c := r.data[r.pos]; {
	case c == '{':
		return Object, nil
	case c == '[':
		return Array, nil
	case c == '"':
		return String, nil
	case c == '-' || c >= '0' && c <= '9':
		return Number, nil
	case r.word("true"):
		return True, nil
	case r.word("false"):
		return False, nil
	case r.word("null"):
		return Null, nil
	}
	return 0, r.fail("unexpected %s, want a value", r.here())
}

// Object reads an object. It calls member for each name, which reads the value.
func (r *Reader) Object(member func(name string) error) error {
	return r.list('}', func() error {
		if r.pos == len(r.data) || r.data[r.pos] != '"' {
			return r.fail("unexpected %s, want a key in quotes", r.here())
		}
		name, err := r.Text()
		if err != nil {
			return err
		}
		r.space()
		if !r.skip(':') {
			return r.fail("unexpected %s, want ':' after key %.40q", r.here(), name)
		}
		r.space()
		return member(name)
	})
}

// Array reads an array. It calls item for each value, which reads it.
func (r *Reader) Array(item func() error) error { return r.list(']', item) }

// list reads what is between the opening bracket, which Next saw, and end.
func (r *Reader) list(end byte, item func() error) error {
	r.pos++
	r.space()
	if r.skip(end) {
		return nil
	}
	r.depth++
	for {
		err := item()
		if err != nil {
			return err
		}
		r.space()
		if r.skip(end) {
			r.depth--
			return nil
		}
		if !r.skip(',') {
			return r.fail("unexpected %s, want ',' or %q", r.here(), end)
		}
		r.space()
	}
}

// Number reads a number and returns it as it is written.
func (r *Reader) Number() (string, error) {
	from := r.pos
	for r.pos < len(r.data) && numeric(r.data[r.pos]) {
		r.pos++
	}
	s := string(r.data[from:r.pos])
	if !ValidNumber(s) {
		r.pos = from
		return "", r.fail("malformed number") // without its text, which may be somebody's password
	}
	return s, nil
}

func numeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// ValidNumber reports whether s is a number of RFC 8259.
func ValidNumber(s string) bool {
	skip := func(set string) bool {
		found := s != "" && strings.IndexByte(set, s[0]) >= 0
		if found {
			s = s[1:]
		}
		return found
	}
	digits := func() bool {
		n := len(s)
		s = strings.TrimLeft(s, "0123456789")
		return len(s) < n
	}
	skip("-")
	if !skip("0") && !digits() {
		return false
	}
	if skip(".") && !digits() {
		return false
	}
	if skip("eE") {
		skip("+-")
		if !digits() {
			return false
		}
	}
	return s == ""
}

func (r *Reader) fail(format string, args ...any) error {
	return &Error{Offset: r.pos, Line: r.line, Column: r.pos - r.start + 1, Problem: fmt.Sprintf(format, args...)}
}

// here describes the next character for an error.
func (r *Reader) here() string {
	if r.pos >= len(r.data) {
		return "end of document"
	}
	c, _ := utf8.DecodeRune(r.data[r.pos:])
	return strconv.QuoteRune(c)
}

func (r *Reader) space() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case '\n':
			r.line++
			r.start = r.pos + 1
		case ' ', '\t', '\r':
		default:
			return
		}
		r.pos++
	}
}

// skip steps over c if it comes next.
func (r *Reader) skip(c byte) bool {
	if r.pos < len(r.data) && r.data[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

// word steps over w if it comes next.
func (r *Reader) word(w string) bool {
	if !bytes.HasPrefix(r.data[r.pos:], []byte(w)) {
		return false
	}
	r.pos += len(w)
	return true
}
