package db

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Collection keeps values of one Go type in a table, as JSON. Fields with the
// tag `db:"key"` are copied into the metadata under that key, so that they can
// be searched; they are of the types that Metadata takes, or pointers to them, of
// which nil is left out. With `db:"key,omitempty"` a zero value is left out too.
type Collection[T any] struct {
	t      Table
	fields []field
}

type field struct {
	index     []int
	key       string
	omitempty bool
}

// Doc is a value and the record that it is kept in. The record's Data is nil.
type Doc[T any] struct {
	*Record
	Value T
}

// NewCollection returns the values of T in a table. T is a struct or a pointer
// to one if it has fields to search by, else anything that encoding/json takes.
func NewCollection[T any](t Table) (*Collection[T], error) {
	c := &Collection[T]{t: t}
	if fronts.Nil(t) {
		return nil, fault.New(ErrInvalid, "db", "collection", "", "nil table")
	}
	typ := reflect.TypeFor[T]()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return c, nil
	}
	seen := map[string]bool{}
	for _, f := range reflect.VisibleFields(typ) {
		tag, ok := f.Tag.Lookup("db")
		if !ok || tag == "-" {
			continue
		}
		key, option, _ := strings.Cut(tag, ",")
		err := checkKey(key)
		switch {
		case err != nil:
		case !f.IsExported():
			err = invalidf("field %s is not exported", f.Name)
		case option != "" && option != "omitempty":
			err = invalidf("field %s has the option %q, want omitempty", f.Name, option)
		case seen[key]:
			err = invalidf("two fields with the key %q", key)
		case !searchable(f.Type):
			err = invalidf("field %s is a %s, want string, bool, an integer, a float, time.Time or []string", f.Name, f.Type)
		}
		if err != nil {
			return nil, fault.Wrap("db", "collection", typ.String(), err)
		}
		seen[key] = true
		c.fields = append(c.fields, field{index: f.Index, key: key, omitempty: option != ""})
	}
	return c, nil
}

func searchable(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Slice:
		return t.Elem().Kind() == reflect.String
	}
	return t == reflect.TypeFor[time.Time]()
}

// Table returns the table that the collection is in.
func (c *Collection[T]) Table() Table { return c.t }

// In returns the collection in a transaction.
func (c *Collection[T]) In(ctx context.Context, tx DB) (*Collection[T], error) {
	t, err := tx.Table(ctx, c.t.Name())
	if err != nil {
		return nil, err
	}
	return &Collection[T]{t: t, fields: c.fields}, nil
}

// Create adds a value under an id, or under a new one if id is empty. An id
// that is taken is ErrExists.
func (c *Collection[T]) Create(ctx context.Context, id string, v T) (Doc[T], error) {
	return c.write(id, v, func(r *Record) error { return c.t.Create(ctx, r) })
}

// write gives the record of a value to do, and returns what that has made of it.
func (c *Collection[T]) write(id string, v T, do func(r *Record) error) (Doc[T], error) {
	r, err := c.record(id, v)
	if err == nil {
		err = do(r)
	}
	if err != nil {
		return Doc[T]{}, err
	}
	r.Data = nil
	return Doc[T]{Record: r, Value: v}, nil
}

// Get returns the value under an id, or ErrNotFound.
func (c *Collection[T]) Get(ctx context.Context, id string) (Doc[T], error) {
	r, err := c.t.Read(ctx, id)
	if err != nil {
		return Doc[T]{}, err
	}
	return c.doc(r)
}

// Put sets the value under an id, whether there was one or not.
func (c *Collection[T]) Put(ctx context.Context, id string, v T) (Doc[T], error) {
	return c.write(id, v, func(r *Record) error { return c.t.Update(ctx, r, Upsert()) })
}

// Update sets d.Value if the record has still the version of d, else it
// returns ErrConflict.
func (c *Collection[T]) Update(ctx context.Context, d Doc[T]) (Doc[T], error) {
	if d.Record == nil {
		return d, fault.New(ErrInvalid, "db", "update", c.t.Name(), "document without a record")
	}
	updated, err := c.write(d.ID, d.Value, func(r *Record) error {
		r.Version, r.Expires = d.Version, d.Expires
		return c.t.Update(ctx, r)
	})
	if err != nil {
		return d, err
	}
	return updated, nil
}

// Modify reads the value under an id, calls fn with it, and writes it back;
// when another writer was faster it does so again, until ctx ends. An error of fn
// ends it with nothing written. fn may be called several times.
func (c *Collection[T]) Modify(ctx context.Context, id string, fn func(v *T) error) (Doc[T], error) {
	for n := 0; ; n++ {
		d, err := c.Get(ctx, id)
		if err != nil {
			return d, err
		}
		if err := fn(&d.Value); err != nil {
			return Doc[T]{}, err
		}
		d, err = c.Update(ctx, d)
		if !errors.Is(err, fault.Conflict) || n == maxPatches {
			return d, err
		}
		if backoff.Sleep(ctx, again.Wait(n)) != nil {
			return Doc[T]{}, errors.Join(err, ctx.Err())
		}
	}
}

// Delete removes the value under an id, or returns ErrNotFound.
func (c *Collection[T]) Delete(ctx context.Context, id string, opts ...WriteOption) error {
	return c.t.Delete(ctx, id, opts...)
}

// Restore brings back a value that was deleted, as Table.Restore does.
func (c *Collection[T]) Restore(ctx context.Context, id string) (Doc[T], error) {
	r, err := c.t.Restore(ctx, id)
	if err != nil {
		return Doc[T]{}, err
	}
	return c.doc(r)
}

// Find goes through the values that the options ask for, as Table.All does.
func (c *Collection[T]) Find(ctx context.Context, opts ...SearchOption) iter.Seq2[Doc[T], error] {
	return func(yield func(Doc[T], error) bool) {
		for r, err := range c.t.All(ctx, opts...) {
			var d Doc[T]
			if err == nil {
				d, err = c.doc(r)
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

func (c *Collection[T]) record(id string, v T) (*Record, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fault.Wrap("db", "encode", c.t.Name()+"/"+id, fault.Mark(ErrInvalid, err))
	}
	return &Record{ID: id, Metadata: c.metadata(v), Data: data, ContentType: "application/json"}, nil
}

func (c *Collection[T]) doc(r *Record) (Doc[T], error) {
	d := Doc[T]{Record: r}
	if err := json.Unmarshal(r.Data, &d.Value); err != nil {
		return Doc[T]{}, fault.Wrap("db", "decode", c.t.Name()+"/"+r.ID, err)
	}
	r.Data = nil
	return d, nil
}

// metadata copies the tagged fields.
func (c *Collection[T]) metadata(v T) map[string]any {
	if len(c.fields) == 0 {
		return nil
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer {
		rv = rv.Elem()
	}
	if !rv.IsValid() {
		return nil
	}
	md := make(map[string]any, len(c.fields))
	for _, f := range c.fields {
		fv, err := rv.FieldByIndexErr(f.index)
		if err != nil {
			continue // below a nil embedded pointer
		}
		if f.omitempty && fv.IsZero() {
			continue
		}
		if fv.Kind() == reflect.Pointer {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		}
		md[f.key] = plain(fv)
	}
	return md
}

// plain returns a field's value in a type that Metadata takes, also if its own
// type is a named one.
func plain(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return v.Bool()
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return v.Uint()
	case v.CanFloat():
		return v.Float()
	case v.Kind() == reflect.Slice:
		l := make([]string, v.Len())
		for i := range l {
			l[i] = v.Index(i).String()
		}
		return l
	}
	return v.Interface()
}
