package config

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// Scan decodes the value into what into points to. It is strict: a key that the
// type doesn't know, another type, a number out of range are errors, each a
// *FieldError, joined.
//
// A struct field takes the key of its tag `config:"name"`, else its name in
// snake_case. More can follow the name: `config:"dsn,required,secret"`. Other
// tags: default:"8080", min:"1", max:"65535" (numbers and durations),
// enum:"debug,info"; of a pointer they limit what it points to. Embedded structs
// share the level of their holder. What is not set stays zero, which min, max and
// enum must allow, else it is an error; an absent pointer, slice or map is not
// checked. Durations are strings ("5s"), []byte is base64, types with
// UnmarshalText or UnmarshalJSON decode themselves.
func (v Value) Scan(into any) error {
	return v.scan(into, false)
}

func (v Value) scan(into any, unknown bool) error {
	p := reflect.ValueOf(into)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("scan into %T, want a pointer: %w", into, ErrInvalid)
	}
	d := decoder{unknown: unknown, types: new(types)}
	if v.s != nil {
		d.types, d.secrets = v.s.types, v.s.secrets
	}
	if v.redaction().all {
		d.hide++
	}
	if err := d.types.check(p.Type().Elem(), "", func(string, *field) {}); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	t := v.t
	if t == nil {
		if p.Elem().Kind() != reflect.Struct || decodesItself(p.Type().Elem()) {
			return &FieldError{Path: v.path, Problem: "nothing is set"}
		}
		t = emptyObject
	}
	fresh := reflect.New(p.Type().Elem()).Elem() // into stays as it was on error
	d.decode(fresh, t, v.path, nil)
	if len(d.errs) > 0 {
		return errors.Join(d.errs...)
	}
	p.Elem().Set(fresh)
	return nil
}

// As decodes a value as a T, with the rules of Scan.
func As[T any](v Value) (T, error) {
	var out T
	err := v.Scan(&out)
	return out, err
}

const mostErrors = 20

type decoder struct {
	unknown bool // keys that the type doesn't know are allowed
	types   *types
	secrets *secrets
	errs    []error
	hide    int // above 0 while inside a secret field
}

func (d *decoder) fail(path string, t *tree, format string, args ...any) {
	if len(d.errs) < mostErrors {
		d.errs = append(d.errs, &FieldError{Path: path, Origin: t.origin(), Problem: fmt.Sprintf(format, args...)})
	}
}

// want reports a value of another type.
func (d *decoder) want(path string, t *tree, what string) {
	d.fail(path, t, "want %s, got %s", what, t.describe(d.secrets, path, d.hide > 0))
}

// hidden reports whether an error must not repeat the value.
func (d *decoder) hidden(path string, t *tree) bool {
	if d.hide > 0 {
		return true
	}
	shown := appendJSON(nil, t, path, d.redaction())
	return string(shown) != string(appendJSON(nil, t, path, nil))
}

func (d *decoder) redaction() *redaction { return &redaction{secrets: d.secrets} }

// within runs f, which hides what it meets if the redaction says so.
func (d *decoder) within(r *redaction, f func()) {
	if r.all {
		d.hide++
		defer func() { d.hide-- }()
	}
	f()
}

// decode sets dst, whose tags are in f (nil for items and roots).
func (d *decoder) decode(dst reflect.Value, t *tree, path string, f *field) {
	if f != nil && f.secret {
		d.hide++
		defer func() { d.hide-- }()
	}
	if dst.Kind() == reflect.Pointer {
		if t.kind == Null {
			return
		}
		p := reflect.New(dst.Type().Elem())
		d.decode(p.Elem(), t, path, f)
		dst.Set(p)
		return
	}
	if t.kind == Null && dst.Type() == timeType { // whose UnmarshalJSON passes over it
		d.want(path, t, "a string for time.Time")
		return
	}
	if d.itself(dst, t, path) {
		return
	}
	before := len(d.errs)
	switch k := dst.Kind(); {
	case dst.Type() == durationType:
		if v, ok := t.asDuration(); ok {
			dst.SetInt(int64(v))
		} else {
			d.want(path, t, `a duration such as "5s"`)
		}
	case k == reflect.Bool:
		if v, ok := t.asBool(); ok {
			dst.SetBool(v)
		} else {
			d.want(path, t, "bool")
		}
	case k == reflect.String:
		if t.kind == String || t.kind == Text {
			dst.SetString(t.text)
		} else {
			d.want(path, t, "string")
		}
	case k >= reflect.Int && k <= reflect.Int64:
		if v, ok := t.asInt(); ok && !dst.OverflowInt(v) {
			dst.SetInt(v)
		} else {
			d.want(path, t, k.String())
		}
	case k >= reflect.Uint && k <= reflect.Uint64:
		if v, ok := t.asUint(); ok && !dst.OverflowUint(v) {
			dst.SetUint(v)
		} else {
			d.want(path, t, k.String())
		}
	case k == reflect.Float32 || k == reflect.Float64:
		if v, ok := t.asFloat(); ok && !dst.OverflowFloat(v) && !math.IsInf(v, 0) {
			dst.SetFloat(v)
		} else {
			d.want(path, t, k.String())
		}
	case k == reflect.Interface:
		if v := t.any(); v != nil {
			dst.Set(reflect.ValueOf(v))
		}
	default:
		d.composite(dst, t, path)
	}
	if f != nil && len(d.errs) == before {
		d.limits(dst, t, path, f)
	}
}

// itself lets types decode themselves.
func (d *decoder) itself(dst reflect.Value, t *tree, path string) bool {
	var err error
	switch u := dst.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		if t.kind == String || t.kind == Text {
			err = u.UnmarshalText([]byte(t.text))
			break
		}
		if j, ok := u.(json.Unmarshaler); ok {
			err = j.UnmarshalJSON(appendJSON(nil, t, "", nil))
			break
		}
		d.want(path, t, "a string for "+dst.Type().String())
	case json.Unmarshaler:
		err = u.UnmarshalJSON(appendJSON(nil, t, "", nil))
	default:
		return false
	}
	switch {
	case err != nil && d.hidden(path, t): // its text may repeat the value
		d.fail(path, t, "not a valid %s", dst.Type())
	case err != nil:
		d.fail(path, t, "not a valid %s: %v", dst.Type(), err)
	}
	return true
}

func (d *decoder) composite(dst reflect.Value, t *tree, path string) {
	if dst.Type() == bytesType {
		b, err := base64.StdEncoding.DecodeString(t.text)
		if err != nil || t.kind != String && t.kind != Text {
			d.want(path, t, "a string in base64")
			return
		}
		dst.SetBytes(b)
		return
	}
	if t.kind == Text {
		t = expand(t, dst.Kind())
	}
	switch dst.Kind() {
	case reflect.Slice, reflect.Array:
		if t.kind != Array {
			d.want(path, t, "array")
			return
		}
		if dst.Kind() == reflect.Slice {
			dst.Set(reflect.MakeSlice(dst.Type(), len(t.items), len(t.items)))
		} else if dst.Len() != len(t.items) {
			d.fail(path, t, "want %d items, got %d", dst.Len(), len(t.items))
			return
		}
		for i, item := range t.items {
			d.within(d.redaction().after(t, i), func() { d.decode(dst.Index(i), item, joinIndex(path, i), nil) })
		}
	case reflect.Map:
		if t.kind != Object {
			d.want(path, t, "object")
			return
		}
		dst.Set(reflect.MakeMapWithSize(dst.Type(), len(t.members)))
		for _, m := range t.members {
			v := reflect.New(dst.Type().Elem()).Elem()
			d.within(d.redaction().beside(t, m.key), func() { d.decode(v, m.val, join(path, m.key), nil) })
			dst.SetMapIndex(reflect.ValueOf(m.key).Convert(dst.Type().Key()), v)
		}
	case reflect.Struct:
		if t.kind != Object {
			d.want(path, t, "object")
			return
		}
		d.structure(dst, t, path)
	}
}

func (d *decoder) structure(dst reflect.Value, t *tree, path string) {
	p, err := d.types.of(dst.Type())
	if err != nil {
		d.fail(path, t, "%v", err)
		return
	}
	known := 0
	for i := range p.fields {
		f := &p.fields[i]
		sub, subPath := t.child(f.name), join(path, f.name)
		switch {
		case sub != nil:
			known++
		case f.required:
			d.fail(subPath, t, "required, but nothing is set")
			continue
		case f.needed != "":
			d.fail(subPath, t, "nothing is set, want %s", f.needed)
			continue
		case f.hasDef:
			sub = &tree{kind: Text, text: f.def}
		case f.typ.Kind() == reflect.Struct && !decodesItself(f.typ):
			sub = &tree{kind: Object, from: t.from, line: t.line, column: t.column} // its own defaults and required fields
		default:
			continue
		}
		d.within(d.redaction().beside(t, f.name), func() { d.decode(dst.FieldByIndex(f.index), sub, subPath, f) })
	}
	if d.unknown || known == len(t.members) {
		return
	}
	for _, m := range t.members {
		if slices.ContainsFunc(p.fields, func(f field) bool { return f.name == m.key }) {
			continue
		}
		problem := "unknown key"
		if like := nearest(m.key, p.fields); like != "" {
			problem += fmt.Sprintf(", did you mean %q?", like)
		}
		d.fail(join(path, m.key), m.val, "%s", problem)
	}
}
