package config

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/strictjson"
)

// SchemaOf returns the JSON Schema (2020-12) of the documents that Value.Scan
// decodes as a T: for editors, for checks before a deployment, for
// documentation. The tags of Value.Scan and doc:"…" fill it in, but for min and
// max of durations, which a schema can't compare.
func SchemaOf[T any]() ([]byte, error) {
	ty := new(types)
	t := reflect.TypeFor[T]()
	if err := ty.check(t, "", func(string, *field) {}); err != nil {
		return nil, fault.Wrap("config", "schema", t.String(), fault.Mark(ErrInvalid, err))
	}
	g := generator{types: ty, open: map[reflect.Type]bool{}, names: map[reflect.Type]string{}, used: map[string]bool{}, defs: map[string]any{}}
	s := g.schema(t)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	if len(g.defs) > 0 {
		s["$defs"] = g.defs
	}
	return json.MarshalIndent(s, "", "  ")
}

// Matches returns a Validator that accepts a configuration if the value at path
// is a T by the rules of Value.Scan; nothing there is an empty object.
func Matches[T any](path string, opts ...BindOption) Validator {
	var o bindOptions
	bad := fault.Mark(ErrInvalid, fronts.Apply(&o, opts))
	return func(_ context.Context, next *Snapshot) error {
		if bad != nil {
			return bad
		}
		return next.Get(path).scan(new(T), o.unknown)
	}
}

type generator struct {
	types *types
	open  map[reflect.Type]bool // structs that are being described
	names map[reflect.Type]string
	used  map[string]bool // names that a $ref has
	defs  map[string]any  // of structs that contain themselves
}

type object = map[string]any

// durationPattern is what time.ParseDuration reads, timePattern what
// time.Time.UnmarshalText does, RFC 3339 with capital T and Z, and base64Pattern
// what encoding/base64 does, which passes over line ends. What they can't say:
// durations have at most 292 years, months their number of days.
const (
	durationPattern = `^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	timePattern     = `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`
	base64Pattern   = `^[\r\n]*(([A-Za-z0-9+/][\r\n]*){4})*(([A-Za-z0-9+/][\r\n]*){2}(=[\r\n]*){2}|([A-Za-z0-9+/][\r\n]*){3}=[\r\n]*)?$`
)

func (g *generator) schema(t reflect.Type) object {
	switch {
	case t == durationType:
		return object{"type": "string", "pattern": durationPattern}
	case t == timeType:
		return object{"type": "string", "format": "date-time", "pattern": timePattern}
	case reflect.PointerTo(t).Implements(textType):
		if reflect.PointerTo(t).Implements(jsonType) {
			return object{}
		}
		return object{"type": "string"}
	case reflect.PointerTo(t).Implements(jsonType):
		return object{}
	case t == bytesType:
		return object{"type": "string", "contentEncoding": "base64", "pattern": base64Pattern}
	}
	switch k := t.Kind(); k {
	case reflect.Pointer:
		return nullable(g.schema(t.Elem()))
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int64, reflect.Int8, reflect.Int16, reflect.Int32:
		return object{"type": "integer", "minimum": int64(math.MinInt64) >> (64 - t.Bits()), "maximum": int64(math.MaxInt64) >> (64 - t.Bits())}
	case reflect.Uint, reflect.Uint64, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return object{"type": "integer", "minimum": 0, "maximum": uint64(math.MaxUint64) >> (64 - t.Bits())}
	case reflect.Float32:
		return object{"type": "number", "minimum": -math.MaxFloat32, "maximum": math.MaxFloat32}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": g.schema(t.Elem())}
	case reflect.Array:
		return object{"type": "array", "items": g.schema(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.schema(t.Elem())}
	case reflect.Struct:
		return g.structure(t)
	}
	return object{}
}

// nullable also takes null.
func nullable(s object) object {
	switch t := s["type"].(type) {
	case string:
		s["type"] = []string{t, "null"}
	case nil:
		if len(s) > 0 {
			return object{"anyOf": []object{s, {"type": "null"}}}
		}
	}
	return s
}

// name is what a struct is called in $defs: what Go calls it, in characters that a
// reference can hold, and no other struct.
func (g *generator) name(t reflect.Type) string {
	name, known := g.names[t]
	if known {
		return name
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '.', r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z':
			return r
		}
		return '_'
	}, t.String())
	for slices.Contains(slices.Collect(maps.Values(g.names)), name) {
		name += "_"
	}
	g.names[t] = name
	return name
}

func (g *generator) structure(t reflect.Type) object {
	name := g.name(t)
	if g.open[t] {
		g.used[name] = true
		return object{"$ref": "#/$defs/" + name}
	}
	g.open[t] = true
	defer delete(g.open, t)
	p, _ := g.types.of(t)
	properties, required := object{}, []string{}
	for i := range p.fields {
		f := &p.fields[i]
		properties[f.name] = g.field(f)
		if f.required || f.needed != "" || !f.hasDef && g.needed(f.typ) {
			required = append(required, f.name)
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	if g.used[name] {
		g.defs[name] = maps.Clone(s)
	}
	return s
}

// needed reports whether a struct that is absent lacks something required.
func (g *generator) needed(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || decodesItself(t) {
		return false
	}
	p, _ := g.types.of(t)
	for i := range p.fields {
		if f := &p.fields[i]; f.required || f.needed != "" || !f.hasDef && g.needed(f.typ) {
			return true
		}
	}
	return false
}

func (g *generator) field(f *field) object {
	s := g.schema(f.typ)
	if f.doc != "" {
		s["description"] = f.doc
	}
	if f.secret {
		s["writeOnly"] = true
	}
	if f.hasDef {
		if v := f.literal(f.def); v != nil {
			s["default"] = v
		}
	}
	if f.value() != durationType {
		if f.min != "" {
			s["minimum"] = f.literal(f.min)
		}
		if f.max != "" {
			s["maximum"] = f.literal(f.max)
		}
	}
	if len(f.enum) > 0 {
		values := make([]any, len(f.enum))
		for i, e := range f.enum {
			values[i] = f.literal(e)
		}
		if f.typ.Kind() == reflect.Pointer {
			values = append(values, nil)
		}
		s["enum"] = values
	}
	return s
}

// literal is the text of a tag as a value of the field's type.
func (f *field) literal(text string) any { return literal(f.value(), text) }

func literal(t reflect.Type, text string) any {
	if t == durationType || t == bytesType || decodesItself(t) {
		return text
	}
	switch k := t.Kind(); {
	case k == reflect.Pointer:
		return literal(t.Elem(), text)
	case k == reflect.Bool:
		b, _ := strconv.ParseBool(text)
		return b
	case number(k):
		if strictjson.ValidNumber(text) {
			return json.Number(text)
		}
		f, _ := strconv.ParseFloat(text, 64) // "+5", ".5"
		return f
	case k == reflect.Slice || k == reflect.Array || k == reflect.Map || k == reflect.Struct:
		whole := expand(&tree{kind: Text, text: text}, k)
		items := make([]any, len(whole.items))
		for i, item := range whole.items {
			items[i] = item.any()
			if item.kind == Text {
				items[i] = literal(t.Elem(), item.text)
			}
		}
		if whole.kind == Array {
			return items
		}
		return whole.any()
	}
	return text
}
