package jose

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/micro/go-platform/internal/strictjson"
)

// maxDepth bounds how deep JSON may nest.
const maxDepth = 32

// ParseObject parses one JSON object and nothing after it, as package strictjson
// does. A whole number that fits is an int64, any other a float64: an identifier of
// 64 bits keeps its last digits.
func ParseObject(b []byte) (map[string]any, error) {
	p := parser{strictjson.NewReader(b, maxDepth)}
	v, err := p.value()
	if err == nil {
		err = p.End()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: not a JSON object", ErrFormat)
	}
	return m, nil
}

// texts reads members that have to be strings. One that isn't there stays as it is.
func texts(m map[string]any, to map[string]*string) error {
	for name, text := range to {
		v, there := m[name]
		if !there {
			continue
		}
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%w: %q is no string", ErrFormat, name)
		}
		*text = s
	}
	return nil
}

type parser struct{ *strictjson.Reader }

func (p parser) value() (any, error) {
	kind, err := p.Next()
	if err != nil {
		return nil, err
	}
	switch kind {
	case strictjson.Object:
		m := make(map[string]any, 8)
		return m, p.Object(func(name string) (err error) {
			if _, twice := m[name]; twice {
				return p.Twice()
			}
			m[name], err = p.value()
			return err
		})
	case strictjson.Array:
		a := []any{}
		err := p.Array(func() error {
			v, err := p.value()
			a = append(a, v)
			return err
		})
		return a, err
	case strictjson.String:
		return p.Text()
	case strictjson.Number:
		return p.number()
	case strictjson.Null:
		return nil, nil
	}
	return kind == strictjson.True, nil
}

func (p parser) number() (any, error) {
	text, err := p.Number()
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errors.New("JSON: number out of range")
	}
	return f, nil
}
