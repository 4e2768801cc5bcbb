package db

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/internal/fault"
)

// Op is one write of a Batch.
type Op struct {
	kind string
	r    *Record
	id   string
	opts []WriteOption
}

// CreateOp is Table.Create in a Batch.
func CreateOp(r *Record) Op { return Op{kind: "create", r: r} }

// UpdateOp is Table.Update in a Batch.
func UpdateOp(r *Record, opts ...WriteOption) Op { return Op{kind: "update", r: r, opts: opts} }

// DeleteOp is Table.Delete in a Batch.
func DeleteOp(id string, opts ...WriteOption) Op { return Op{kind: "delete", id: id, opts: opts} }

// BatchError says which write of a Batch failed. On a backend with
// transactions nothing was written, else the writes before it were.
type BatchError struct {
	Index int // of the Op
	Err   error
}

func (e *BatchError) Error() string { return fmt.Sprintf("write %d: %v", e.Index, e.Err) }

// Unwrap returns Err.
func (e *BatchError) Unwrap() error { return e.Err }

// maxBatch is how many writes a Batch may have.
const maxBatch = 10_000

func (t *table) Batch(ctx context.Context, ops ...Op) error {
	switch {
	case len(ops) == 0:
		return nil
	case len(ops) > maxBatch:
		return t.wrap("batch", "", tooLargef("%d writes, limit %d", len(ops), maxBatch))
	case t.tx == nil && t.f.features.Transactions:
		// The callers' records are told what was stored only if all of it was.
		copies := make([]*Record, len(ops))
		err := t.f.Tx(ctx, func(ctx context.Context, tx DB) error {
			x := &table{f: t.f, ops: tx.(*txDB).t, tx: tx.(*txDB), name: t.name, spec: t.spec}
			todo := make([]Op, len(ops))
			for i, op := range ops {
				if op.r != nil {
					copies[i] = op.r.Clone()
					op.r = copies[i]
				}
				todo[i] = op
			}
			return x.each(ctx, todo)
		})
		if err != nil {
			return t.wrapBatch(err)
		}
		for i, c := range copies {
			if c != nil {
				r := ops[i].r
				r.ID, r.Version, r.Created, r.Updated = c.ID, c.Version, c.Created, c.Updated
			}
		}
		return nil
	}
	return t.wrapBatch(t.each(ctx, ops))
}

func (t *table) wrapBatch(err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *fault.Error: // of Tx
		c := *e
		c.Op, c.Subject = "batch", t.name
		if _, ok := e.Cause.(*BatchError); ok {
			c.Kind = nil // it says its kind itself
		}
		return &c
	}
	return &fault.Error{Scope: t.f.scope, Op: "batch", Subject: t.name, Cause: err}
}

func (t *table) each(ctx context.Context, ops []Op) error {
	for i, op := range ops {
		var err error
		switch op.kind {
		case "create":
			err = t.Create(ctx, op.r)
		case "update":
			err = t.Update(ctx, op.r, op.opts...)
		case "delete":
			err = t.Delete(ctx, op.id, op.opts...)
		default:
			err = t.wrap("batch", "", invalidf("empty Op"))
		}
		if err != nil {
			return &BatchError{Index: i, Err: err}
		}
	}
	return nil
}
