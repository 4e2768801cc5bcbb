package config

import (
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func (t *tree) asBool() (bool, bool) {
	switch t.kind {
	case Bool:
		return t.flag, true
	case Text:
		b, err := strconv.ParseBool(t.text)
		return b, err == nil
	}
	return false, false
}

func (t *tree) asInt() (int64, bool) {
	switch t.kind {
	case Number:
		if n := t.integral(); !t.flag && n != nil {
			return n.Int64(), n.IsInt64()
		}
		return t.i, t.flag
	case Text:
		i, err := strconv.ParseInt(t.text, 10, 64)
		return i, err == nil
	}
	return 0, false
}

func (t *tree) asUint() (uint64, bool) {
	if t.kind != Number && t.kind != Text {
		return 0, false
	}
	u, err := strconv.ParseUint(t.text, 10, 64)
	if err == nil {
		return u, true
	}
	n := t.integral()
	if n == nil {
		return 0, t.kind == Number && t.flag && t.i == 0 // "-0"
	}
	return n.Uint64(), n.IsUint64()
}

// integral returns the value of a number that is written with a fraction or an
// exponent and is an integer all the same, as JSON Schema has it: 80.0, 1e18.
func (t *tree) integral() *big.Int {
	if t.kind != Number || math.Abs(t.f) >= 1<<65 || !strings.ContainsAny(t.text, ".eE") {
		return nil
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(t.text), "e"); ok && len(exponent) > 4 || len(t.text) > 100 {
		return nil // not worth the digits
	}
	r, ok := new(big.Rat).SetString(t.text)
	if !ok || !r.IsInt() {
		return nil
	}
	return r.Num()
}

func (t *tree) asFloat() (float64, bool) {
	switch t.kind {
	case Number:
		return t.f, true
	case Text:
		f, err := strconv.ParseFloat(t.text, 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

func (t *tree) asDuration() (time.Duration, bool) {
	if t.kind != String && t.kind != Text {
		return 0, false
	}
	d, err := time.ParseDuration(t.text)
	return d, err == nil
}

func (t *tree) any() any {
	if t == nil {
		return nil
	}
	switch t.kind {
	case Bool:
		return t.flag
	case Number:
		return t.number()
	case String, Text:
		return t.text
	case Array:
		out := make([]any, len(t.items))
		for i, item := range t.items {
			out[i] = item.any()
		}
		return out
	case Object:
		out := make(map[string]any, len(t.members))
		for _, m := range t.members {
			out[m.key] = m.val.any()
		}
		return out
	}
	return nil
}

func (t *tree) number() any {
	if t.flag {
		return t.i
	}
	if u, err := strconv.ParseUint(t.text, 10, 64); err == nil {
		return u
	}
	return t.f
}

// describe says what a value is, for an error; secrets only by their kind.
// hidden says that all of it is secret, whatever its path.
func (t *tree) describe(s *secrets, path string, hidden bool) string {
	switch {
	case t == nil:
		return "nothing"
	case t.kind == Null || hidden || s.hides(path, t):
		return t.kind.String()
	case t.kind == Bool || t.kind == Number:
		return strings.TrimSpace(t.kind.String() + " " + clip(string(appendJSON(nil, t, "", nil))))
	case t.kind == String || t.kind == Text:
		shown, _ := mask(t.text)
		return t.kind.String() + " " + strconv.Quote(clip(shown))
	}
	return t.kind.String()
}

// expand turns text without a type into an array or an object: JSON, or for an
// array the parts between commas.
func expand(t *tree, k reflect.Kind) *tree {
	s := strings.TrimSpace(t.text)
	if strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{") {
		if n, err := (JSON{}).Parse([]byte(s)); err == nil {
			if parsed, err := seal(n, t.from); err == nil {
				return parsed
			}
		}
		return t
	}
	if k != reflect.Slice && k != reflect.Array {
		return t
	}
	out := &tree{kind: Array, from: t.from, line: t.line, column: t.column}
	if s == "" {
		return out
	}
	for part := range strings.SplitSeq(s, ",") {
		item := *t
		item.text = strings.TrimSpace(part)
		out.items = append(out.items, &item)
	}
	return out
}
