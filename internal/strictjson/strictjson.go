// Package strictjson reads JSON (RFC 8259) that somebody else wrote.
//
// encoding/json replaces invalid UTF-8, takes lone surrogates, and of a name that
// occurs twice takes the last value, so that two readers of one text may see two
// different things. This reader refuses all three, bounds how deep values nest,
// and takes nothing after the value. It keeps numbers as they are written, and
// knows the line and column of each value.
package strictjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// Unmarshal is json.Unmarshal for a text in which no object has a name twice, also
// not in another case: encoding/json fills the same field from "issuer", from
// "Issuer" and from "i\u017f\u017fuer".
func Unmarshal(data []byte, maxDepth int, v any) error {
	err := check(data, maxDepth, folded)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// folded is the same for two names exactly if strings.EqualFold holds for them, as
// for those that encoding/json takes for one: each rune is the least of those that
// differ in case. The long s and the Kelvin sign are among them.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}

// Check reports what is wrong with a text, and a name that occurs twice in an
// object.
func Check(data []byte, maxDepth int) error {
	return check(data, maxDepth, func(name string) string { return name })
}

func check(data []byte, maxDepth int, fold func(string) string) error {
	r := NewReader(data, maxDepth)
	var value func() error
	value = func() error {
		kind, err := r.Next()
		if err != nil {
			return err
		}
		switch kind {
		case Object:
			seen := map[string]bool{}
			return r.Object(func(name string) error {
				name = fold(name)
				if seen[name] {
					return r.Twice()
				}
				seen[name] = true
				return value()
			})
		case Array:
			return r.Array(value)
		case String:
			_, err = r.Text()
		case Number:
			_, err = r.Number()
		}
		return err
	}
	err := value()
	if err != nil {
		return err
	}
	return r.End()
}

// Error says what is wrong in a text, and where.
type Error struct {
	Offset       int // in bytes, from 0
	Line, Column int // from 1; columns are bytes
	Problem      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("JSON: %s at byte %d", e.Problem, e.Offset)
}
