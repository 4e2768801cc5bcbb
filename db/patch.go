package db

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Edit is one change of Table.Patch.
type Edit struct {
	apply func(r *Record) error
}

// Set sets a metadata key.
func Set(key string, value any) Edit {
	return Edit{func(r *Record) error {
		n, err := normal(key, value)
		if err == nil {
			err = checkKey(key)
		}
		r.Metadata[key] = n
		return err
	}}
}

// Unset removes metadata keys. One that isn't there is no error.
func Unset(keys ...string) Edit {
	return Edit{func(r *Record) error {
		maps.DeleteFunc(r.Metadata, func(k string, _ any) bool { return slices.Contains(keys, k) })
		return nil
	}}
}

// Increment adds an integer or a float to the number under a metadata key, which
// counts as 0 if it isn't there. The sum of two integers is an integer, and
// ErrInvalid if 64 bits don't hold it; with a float it is a float. Another type
// of value is ErrInvalid.
func Increment(key string, by any) Edit {
	return Edit{func(r *Record) error {
		n, err := normal(key, by)
		if err != nil {
			return err
		}
		if err := checkKey(key); err != nil {
			return err
		}
		old, ok := r.Metadata[key]
		if !ok {
			old = int64(0)
		}
		r.Metadata[key], err = sum(key, old, n)
		return err
	}}
}

func sum(key string, a, b any) (any, error) {
	i, iok := a.(int64)
	j, jok := b.(int64)
	if iok && jok {
		if s := i + j; (s > i) == (j > 0) {
			return s, nil
		}
		return nil, invalidf("%q is %d, and %d more is more than 64 bits hold", key, i, j)
	}
	f, fok := a.(float64)
	g, gok := b.(float64)
	switch {
	case !iok && !fok:
		return nil, invalidf("%q is a %T, and no number to add to", key, a)
	case !jok && !gok:
		return nil, invalidf("%q is to be incremented by a %T", key, b)
	case iok:
		f = float64(i)
	case jok:
		g = float64(j)
	}
	return float(key, f+g)
}

// SetData sets the data of a record, and its content type.
func SetData(data []byte, contentType string) Edit {
	return Edit{func(r *Record) error { r.Data, r.ContentType = slices.Clone(data), contentType; return nil }}
}

// maxPatches is how often a Patch or a Modify is tried again when others are faster.
const maxPatches = 1000

func (t *table) Patch(ctx context.Context, id string, edits ...Edit) (*Record, error) {
	if t.tx == nil { // the deadline of one call for all steps
		limited, limit, cancel := fronts.Limited(ctx, t.f.o.timeout)
		defer cancel()
		steps := *t
		steps.within = &limit
		ctx, t = limited, &steps
	}
	for n := 0; ; n++ {
		r, err := t.Read(ctx, id)
		if err != nil {
			return nil, t.as("patch", err)
		}
		if r.Metadata == nil {
			r.Metadata = map[string]any{}
		}
		for _, e := range edits {
			if e.apply == nil {
				return nil, t.wrap("patch", id, invalidf("empty Edit"))
			}
			if err := e.apply(r); err != nil {
				return nil, t.wrap("patch", id, err)
			}
		}
		err = t.Update(ctx, r)
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, fault.Conflict) || errors.Is(err, dbvalue.ErrSerialization) || n == maxPatches {
			return nil, t.as("patch", err)
		}
		if e := backoff.Sleep(ctx, again.Wait(n)); e != nil {
			return nil, t.wrap("patch", id, fault.Mark(ErrConflict, errors.Join(err, e)))
		}
	}
}

// as names the operation that an error of one of its steps is of.
func (t *table) as(op string, err error) error {
	e, ok := err.(*fault.Error)
	if !ok {
		return err
	}
	c := *e
	c.Op = op
	return &c
}
