package config

import (
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"time"
)

// Value is one value of a snapshot. The zero Value doesn't exist; every getter
// of it returns the default.
//
// A getter converts only what can't be misread. A number in quotes is a string,
// except in a source without types (env, flags), whose text becomes what is
// asked for. A value of another type gives the default, is logged once and
// stands in Health; Scan returns it as an error instead.
type Value struct {
	t    *tree
	s    *Snapshot
	path string
}

// Exists reports whether a value is there. Null counts as absent everywhere but
// in arrays.
func (v Value) Exists() bool { return v.t != nil }

// Kind returns the value's type; Missing if nothing is there.
func (v Value) Kind() Kind {
	if v.t == nil {
		return Missing
	}
	return v.t.kind
}

// Path returns the path that led here.
func (v Value) Path() string { return v.path }

// Origin says which source and line set the value.
func (v Value) Origin() Origin { return v.t.origin() }

// At returns the value below v by literal keys, which may hold dots; of an
// array by decimal index.
func (v Value) At(keys ...string) Value {
	for _, k := range keys {
		v.path = join(v.path, k)
		if v.t != nil {
			v.t = v.t.child(k)
		}
	}
	return v
}

// Len returns how many members an object or items an array has, else 0.
func (v Value) Len() int {
	if v.t == nil {
		return 0
	}
	return len(v.t.members) + len(v.t.items)
}

// Each yields the members of an object in the order of their keys, or the
// items of an array with their index as key.
func (v Value) Each() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.t == nil {
			return
		}
		for _, m := range v.t.members {
			if !yield(m.key, Value{t: m.val, s: v.s, path: join(v.path, m.key)}) {
				return
			}
		}
		for i, item := range v.t.items {
			if !yield(strconv.Itoa(i), Value{t: item, s: v.s, path: joinIndex(v.path, i)}) {
				return
			}
		}
	}
}

// Bool returns a boolean.
func (v Value) Bool(def bool) bool {
	if v.t == nil {
		return def
	}
	if b, ok := v.t.asBool(); ok {
		return b
	}
	v.wrong("bool")
	return def
}

// Int returns a whole number that fits an int.
func (v Value) Int(def int) int {
	if v.t == nil {
		return def
	}
	if i, ok := v.t.asInt(); ok && int64(int(i)) == i {
		return int(i)
	}
	v.wrong("int")
	return def
}

// Int64 returns a whole number.
func (v Value) Int64(def int64) int64 {
	if v.t == nil {
		return def
	}
	if i, ok := v.t.asInt(); ok {
		return i
	}
	v.wrong("int64")
	return def
}

// Float64 returns a number.
func (v Value) Float64(def float64) float64 {
	if v.t == nil {
		return def
	}
	if f, ok := v.t.asFloat(); ok {
		return f
	}
	v.wrong("number")
	return def
}

// String returns a string.
func (v Value) String(def string) string {
	if v.t == nil {
		return def
	}
	if v.t.kind == String || v.t.kind == Text {
		return v.t.text
	}
	v.wrong("string")
	return def
}

// Duration returns a duration written as time.ParseDuration reads it: "1m30s".
// A plain number is no duration, since it has no unit.
func (v Value) Duration(def time.Duration) time.Duration {
	if v.t == nil {
		return def
	}
	if d, ok := v.t.asDuration(); ok {
		return d
	}
	v.wrong("duration such as \"5s\"")
	return def
}

// Strings returns an array of strings; text of env and flags is cut at commas.
// The slice is the caller's.
func (v Value) Strings(def []string) []string {
	return scanned(v, def, "array of strings")
}

// StringMap returns an object whose values are strings. The map is the
// caller's.
func (v Value) StringMap(def map[string]string) map[string]string {
	return scanned(v, def, "object of strings")
}

func scanned[T any](v Value, def T, want string) T {
	if v.t == nil {
		return def
	}
	out, err := As[T](v)
	if err != nil {
		v.wrong(want)
		return def
	}
	return out
}

// Any returns the value as Go types: nil, bool, string, int64 (uint64 beyond
// it), float64, []any, map[string]any. It is a copy.
func (v Value) Any() any { return v.t.any() }

// Bytes returns the value as compact JSON with sorted keys, secrets in clear;
// nil if nothing is there.
func (v Value) Bytes() []byte {
	if v.t == nil {
		return nil
	}
	return appendJSON(nil, v.t, "", nil)
}

// Equal reports whether both hold the same, wherever it came from.
func (v Value) Equal(w Value) bool { return same(v.t, w.t) }

// Show returns the value as JSON for people, secrets redacted; "(nothing)" if
// nothing is there.
func (v Value) Show() string {
	if v.t == nil {
		return "(nothing)"
	}
	return string(appendJSON(nil, v.t, v.path, v.redaction()))
}

// redaction of the value, which what stands beside it may name.
func (v Value) redaction() *redaction {
	if v.s == nil {
		return &redaction{}
	}
	r := &redaction{secrets: v.s.secrets}
	keys := SplitPath(v.path)
	if len(keys) == 0 {
		return r
	}
	above := v.s.root.walk(Path(keys[:len(keys)-1]...))
	if above == nil {
		return r
	}
	return r.beside(above, keys[len(keys)-1])
}

// Format makes every verb of fmt print what Show returns.
func (v Value) Format(f fmt.State, _ rune) { fmt.Fprint(f, v.Show()) }

// LogValue returns what Show returns.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.Show()) }

// MarshalJSON returns the value, secrets redacted; null if nothing is there.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.t == nil {
		return []byte("null"), nil
	}
	return []byte(v.Show()), nil
}

// wrong reports a value of another type than the getter's.
func (v Value) wrong(want string) {
	if v.s != nil && v.s.misread != nil {
		v.s.misread(v, want)
	}
}
