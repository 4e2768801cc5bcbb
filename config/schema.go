package config

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/micro/go-platform/internal/fault"
)

// SchemaOf returns the JSON Schema (2020-12) of the documents that Value.Scan
// decodes as a T: for editors, for checks before a deployment, for
// documentation. The tags of Value.Scan and doc:"…" fill it in.
func SchemaOf[T any]() ([]byte, error) {
	ty := new(types)
	t := reflect.TypeFor[T]()
	if err := ty.check(t, "", func(string, *field) {}); err != nil {
		return nil, fault.Wrap("config", "schema", t.String(), fault.Mark(ErrInvalid, err))
	}
	g := generator{types: ty, open: map[reflect.Type]bool{}, defs: map[string]any{}}
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
	var bad error
	for _, opt := range opts {
		if opt == nil {
			bad = fmt.Errorf("nil option: %w", ErrInvalid)
		} else if err := opt(&o); err != nil {
			bad = err
		}
	}
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
	defs  map[string]any        // of structs that contain themselves
	used  map[string]bool
}

type object = map[string]any

// durationPattern is what time.ParseDuration reads, timePattern what
// time.Time.UnmarshalText does: RFC 3339 with capital T and Z.
const (
	durationPattern = `^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	timePattern     = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`
)

func (g *generator) schema(t reflect.Type) object {
	switch {
	case t == durationType:
		return object{"type": "string", "pattern": durationPattern}
	case t.String() == "time.Time":
		return object{"type": "string", "format": "date-time", "pattern": timePattern}
	case reflect.PointerTo(t).Implements(textType):
		if reflect.PointerTo(t).Implements(jsonType) {
			return object{}
		}
		return object{"type": "string"}
	case reflect.PointerTo(t).Implements(jsonType):
		return object{}
	case t == bytesType:
		return object{"type": "string", "contentEncoding": "base64"}
	}
	switch k := t.Kind(); k {
	case reflect.Pointer:
		return g.schema(t.Elem())
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

func (g *generator) structure(t reflect.Type) object {
	name := t.String()
	if g.open[t] {
		if g.used == nil {
			g.used = map[string]bool{}
		}
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
		def := object{}
		for k, v := range s {
			def[k] = v
		}
		g.defs[name] = def
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
	if f.typ != durationType {
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
		s["enum"] = values
	}
	return s
}

// literal is the text of a tag as a value of the field's type.
func (f *field) literal(text string) any {
	if f.typ == durationType || decodesItself(f.typ) {
		return text
	}
	switch k := f.typ.Kind(); {
	case k == reflect.Bool:
		b, _ := strconv.ParseBool(text)
		return b
	case k >= reflect.Int && k <= reflect.Float64:
		return json.Number(text)
	case k == reflect.Slice || k == reflect.Array || k == reflect.Map || k == reflect.Struct:
		return expand(&tree{kind: Text, text: text}, k).any()
	}
	return text
}
