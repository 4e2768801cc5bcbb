package gocloud

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"reflect"
	"time"

	"gocloud.dev/docstore/driver"
)

func init() {
	for _, v := range []any{map[string]any{}, []any{}, time.Time{}, null{}} {
		gob.Register(v)
	}
}

// null stands for nil, which gob does not have.
type null struct{ Null bool }

// encode makes a record's Data of a document, and the values by which it can be
// searched.
func encode(doc driver.Document) (fields map[string]any, data []byte, err error) {
	e := &encoder{}
	if err := doc.Encode(e); err != nil {
		return nil, nil, err
	}
	fields = e.value.(map[string]any)
	data, err = pack(fields)
	return fields, data, err
}

func pack(fields map[string]any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(fields)
	return b.Bytes(), err
}

func unpack(data []byte) (fields map[string]any, err error) {
	return fields, gob.NewDecoder(bytes.NewReader(data)).Decode(&fields)
}

func encodeValue(v any) (any, error) {
	e := &encoder{}
	err := driver.Encode(reflect.ValueOf(v), e)
	return e.value, err
}

// encoder keeps the last value it was given. Inside of a list or a map, put has it
// taken over.
type encoder struct {
	value any
	list  []any
	dict  map[string]any
}

func (e *encoder) EncodeNil()            { e.value = null{} }
func (e *encoder) EncodeBool(v bool)     { e.value = v }
func (e *encoder) EncodeString(v string) { e.value = v }
func (e *encoder) EncodeInt(v int64)     { e.value = v }
func (e *encoder) EncodeUint(v uint64)   { e.value = int64(v) }
func (e *encoder) EncodeFloat(v float64) { e.value = v }
func (e *encoder) EncodeBytes(v []byte)  { e.value = v }

func (e *encoder) EncodeList(n int) driver.Encoder {
	inner := &encoder{list: make([]any, n)}
	e.value = inner.list
	return inner
}

func (e *encoder) EncodeMap(n int) driver.Encoder {
	inner := &encoder{dict: make(map[string]any, n)}
	e.value = inner.dict
	return inner
}

func (e *encoder) ListIndex(i int) { e.list[i] = e.value }
func (e *encoder) MapKey(k string) { e.dict[k] = e.value }

func (e *encoder) EncodeSpecial(v reflect.Value) (bool, error) {
	t, ok := v.Interface().(time.Time)
	if ok {
		e.value = t
	}
	return ok, nil
}

// decoder reads a value.
type decoder struct{ value any }

func as[T any](d decoder) (T, bool) { v, ok := d.value.(T); return v, ok }

func (d decoder) String() string            { return fmt.Sprint(d.value) }
func (d decoder) AsNull() bool              { _, ok := d.value.(null); return ok || d.value == nil }
func (d decoder) AsBool() (bool, bool)      { return as[bool](d) }
func (d decoder) AsString() (string, bool)  { return as[string](d) }
func (d decoder) AsInt() (int64, bool)      { return as[int64](d) }
func (d decoder) AsUint() (uint64, bool)    { v, ok := as[int64](d); return uint64(v), ok }
func (d decoder) AsFloat() (float64, bool)  { return as[float64](d) }
func (d decoder) AsBytes() ([]byte, bool)   { return as[[]byte](d) }
func (d decoder) ListLen() (int, bool)      { v, ok := as[[]any](d); return len(v), ok }
func (d decoder) MapLen() (int, bool)       { v, ok := as[map[string]any](d); return len(v), ok }
func (d decoder) AsInterface() (any, error) { return plain(d.value), nil }

func (d decoder) DecodeList(f func(int, driver.Decoder) bool) {
	for i, v := range d.value.([]any) {
		if !f(i, decoder{v}) {
			return
		}
	}
}

func (d decoder) DecodeMap(f func(string, driver.Decoder, bool) bool) {
	for k, v := range d.value.(map[string]any) {
		if !f(k, decoder{v}, true) {
			return
		}
	}
}

func (d decoder) AsSpecial(v reflect.Value) (bool, any, error) {
	t, ok := d.value.(time.Time)
	return ok && v.Type() == reflect.TypeFor[time.Time](), t, nil
}

// plain is a value as Go has it.
func plain(v any) any {
	switch v := v.(type) {
	case null:
		return nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case map[string]any:
		dict := make(map[string]any, len(v))
		for k := range v {
			dict[k] = plain(v[k])
		}
		return dict
	}
	return v
}

// at returns the field at a path.
func at(fields map[string]any, path []string) (any, bool) {
	for _, name := range path[:len(path)-1] {
		fields, _ = fields[name].(map[string]any)
	}
	v, ok := fields[path[len(path)-1]]
	return v, ok
}

// within returns the map that has the last name of a path, making those on the way.
func within(fields map[string]any, path []string) (map[string]any, error) {
	for _, name := range path[:len(path)-1] {
		if fields[name] == nil {
			fields[name] = map[string]any{}
		}
		inner, ok := fields[name].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%w: %q is no map", errArgument, name)
		}
		fields = inner
	}
	return fields, nil
}
