package openfeature

import (
	"encoding/json"
	"math"
	"reflect"
)

// number returns a number of a configuration or of a context, however it is
// typed there.
func number(v any) (float64, bool) {
	if n, ok := v.(json.Number); ok {
		f, err := n.Float64()
		return f, err == nil
	}
	r := reflect.ValueOf(v)
	switch {
	case !r.IsValid():
		return 0, false
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}

// whole returns a number that is an int64.
func whole(v any) (int64, bool) {
	if n, ok := v.(json.Number); ok {
		i, err := n.Int64()
		if err == nil {
			return i, true
		}
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.CanInt() {
		return r.Int(), true
	}
	f, ok := number(v)
	if !ok || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

// equal compares an attribute of a context with a value of a rule.
func equal(have, want any) bool {
	if w, ok := number(want); ok {
		h, ok := number(have)
		return ok && h == w
	}
	switch w := want.(type) {
	case bool:
		h, ok := have.(bool)
		return ok && h == w
	case string:
		h, ok := have.(string)
		return ok && h == w
	}
	return false
}

// plain returns a value with the types that Go programs expect of JSON: numbers are
// float64, and what a caller changes is its own.
func plain(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, v := range x {
			out[k] = plain(v)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, v := range x {
			out[i] = plain(v)
		}
		return out
	case bool, string, nil:
		return v
	}
	f, ok := number(v)
	if !ok {
		return v
	}
	return f
}
