package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// types remembers how struct types are decoded, so that tags are read once.
type types struct{ plans sync.Map } // reflect.Type → *plan or error

// plan is how a struct type is decoded.
type plan struct{ fields []field }

// field is one key of a struct.
type field struct {
	name     string
	index    []int
	typ      reflect.Type
	required bool
	secret   bool
	hasDef   bool
	def      string
	enum     []string
	allowed  []any // the values of enum, if they are numbers
	min, max string
	doc      string
	lo, hi   limit  // of min and max
	needed   string // what the tags want and zero is not: the field can't be absent
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonType     = reflect.TypeFor[json.Unmarshaler]()
	secretType   = reflect.TypeFor[Secret]()
	bytesType    = reflect.TypeFor[[]byte]()
)

// of returns the plan of a struct type, and why there is none.
func (ty *types) of(t reflect.Type) (*plan, error) {
	if p, ok := ty.plans.Load(t); ok {
		if err, bad := p.(error); bad {
			return nil, err
		}
		return p.(*plan), nil
	}
	p := &plan{}
	var made any = p
	err := p.add(t, nil)
	if err != nil {
		made = err
	}
	ty.plans.Store(t, made)
	return p, err
}

func (p *plan) add(t reflect.Type, index []int) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, flags, _ := strings.Cut(sf.Tag.Get("config"), ",")
		at := append(slices.Clone(index), i)
		if name == "-" && flags == "" {
			continue
		}
		if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct && !decodesItself(sf.Type) {
			if err := p.add(sf.Type, at); err != nil {
				return err
			}
			continue
		}
		if !sf.IsExported() {
			if name != "" || flags != "" {
				return fmt.Errorf("%s.%s has a config tag but is not exported", t, sf.Name)
			}
			continue
		}
		f, err := newField(sf, name, flags)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t, sf.Name, err)
		}
		f.index = at
		for _, other := range p.fields {
			if other.name == f.name {
				return fmt.Errorf("%s.%s: another field is named %q", t, sf.Name, f.name)
			}
		}
		p.fields = append(p.fields, f)
	}
	return nil
}

func newField(sf reflect.StructField, name, flags string) (field, error) {
	f := field{name: name, typ: sf.Type, secret: sf.Type == secretType, doc: sf.Tag.Get("doc"), min: sf.Tag.Get("min"), max: sf.Tag.Get("max")}
	if f.name == "" {
		f.name = snake(sf.Name)
	}
	for flag := range strings.SplitSeq(flags, ",") {
		switch flag {
		case "":
		case "required":
			f.required = true
		case "secret":
			f.secret = true
		default:
			return f, fmt.Errorf("unknown flag %q in the config tag, want required or secret", flag)
		}
	}
	f.def, f.hasDef = sf.Tag.Lookup("default")
	if f.hasDef && f.required {
		return f, fmt.Errorf("both required and a default")
	}
	var err error
	f.lo, err = newLimit(f.value(), f.min)
	if err != nil {
		return f, fmt.Errorf("min: %w", err)
	}
	f.hi, err = newLimit(f.value(), f.max)
	if err != nil {
		return f, fmt.Errorf("max: %w", err)
	}
	err = decodable(f.typ)
	if err != nil {
		return f, err
	}
	if e := sf.Tag.Get("enum"); e != "" {
		f.enum = strings.Split(e, ",")
		err = f.allow()
		if err != nil {
			return f, fmt.Errorf("enum: %w", err)
		}
	}
	if !f.hasDef {
		f.needed = f.unmetByZero()
	} else {
		d := decoder{types: new(types)}
		d.decode(reflect.New(f.typ).Elem(), &tree{kind: Text, text: f.def}, f.name, &f)
		if len(d.errs) > 0 {
			return f, fmt.Errorf("default: %w", d.errs[0])
		}
	}
	return f, nil
}

// value is the type that the tags speak of: what a pointer points to.
func (f *field) value() reflect.Type {
	t := f.typ
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// unmetByZero returns what the tags want if the zero value, which an absent
// field keeps, is not that; else "".
func (f *field) unmetByZero() string {
	zero := reflect.Zero(f.typ)
	switch {
	case f.typ.Kind() == reflect.Pointer:
	case f.outside(zero, &tree{}):
		return "a value " + f.span()
	case len(f.enum) == 0 || decodesItself(f.typ):
	case f.allowed != nil && !slices.Contains(f.allowed, zero.Interface()), f.typ.Kind() == reflect.String && !slices.Contains(f.enum, ""):
		return "one of " + strings.Join(f.enum, ", ")
	}
	return ""
}

func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(textType) || p.Implements(jsonType)
}

// decodable says why a type can't be decoded, as far as it shows without
// looking into structs.
func decodable(t reflect.Type) error {
	if decodesItself(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return decodable(t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fmt.Errorf("a map's keys must be strings, not %s", t.Key())
		}
		return decodable(t.Elem())
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return nil
		}
	case reflect.Bool, reflect.String, reflect.Struct, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	}
	return fmt.Errorf("a value of type %s can't be configured", t)
}

// check makes the plans of t and of all types that it holds, and returns the
// first reason why one can't be decoded.
func (ty *types) check(t reflect.Type, path string, visit func(path string, f *field)) error {
	return ty.checkOnce(t, path, visit, map[reflect.Type]bool{})
}

func (ty *types) checkOnce(t reflect.Type, path string, visit func(string, *field), above map[reflect.Type]bool) error {
	if err := decodable(t); err != nil {
		return err
	}
	if decodesItself(t) || t == bytesType {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return ty.checkOnce(t.Elem(), path, visit, above)
	case reflect.Slice, reflect.Array, reflect.Map:
		if path != "" {
			path += "."
		}
		return ty.checkOnce(t.Elem(), path+"*", visit, above)
	case reflect.Struct:
		if above[t] {
			return nil
		}
		above[t] = true
		defer delete(above, t)
		p, err := ty.of(t)
		if err != nil {
			return err
		}
		for i := range p.fields {
			f := &p.fields[i]
			visit(join(path, f.name), f)
			if err := ty.checkOnce(f.typ, join(path, f.name), visit, above); err != nil {
				return err
			}
		}
	}
	return nil
}

// snake is the key of a field without a name in its tag: MaxConns is max_conns,
// HTTPAddr is http_addr.
func snake(name string) string {
	var b strings.Builder
	rs := []rune(name)
	for i, r := range rs {
		upper := unicode.IsUpper(r)
		if upper && i > 0 && (!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) && rs[i-1] != '_' {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
