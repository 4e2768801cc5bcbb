package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/micro/go-platform/internal/fault"
)

// Op is one write of a Batch.
type Op struct {
	kind string
	r    *Record
	id   string
	opts []WriteOption
	err  error // of a Collection that could not encode its value
}

// CreateOp is Table.Create in a Batch.
func CreateOp(r *Record) Op { return Op{kind: "create", r: r} }

// UpdateOp is Table.Update in a Batch.
func UpdateOp(r *Record, opts ...WriteOption) Op { return Op{kind: "update", r: r, opts: opts} }

// DeleteOp is Table.Delete in a Batch.
func DeleteOp(id string, opts ...WriteOption) Op { return Op{kind: "delete", id: id, opts: opts} }

// BatchError says which writes of a Batch failed.
type BatchError struct {
	Index int   // of the first Op that failed
	Err   error // of that Op

	// Errs has for each Op the error that kept it from being done, nil for one
	// that was done, and ErrUnavailable for one that was not tried. A nil Errs:
	// no Op was done, as always on a backend with transactions.
	Errs []error
}

func (e *BatchError) Error() string { return fmt.Sprintf("write %d: %v", e.Index, e.Err) }

// Unwrap returns Err.
func (e *BatchError) Unwrap() error { return e.Err }

var errNotTried = fault.Markf(ErrUnavailable, "not tried: a write before it failed")

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
			todo := make([]Op, len(ops))
			for i, op := range ops {
				if op.r != nil {
					copies[i] = op.r.Clone()
					op.r = copies[i]
				}
				todo[i] = op
			}
			return t.in(tx.(*txDB)).each(ctx, todo)
		}, Isolation(LevelSnapshot)) // each write reads nothing but its own record
		if err != nil {
			return t.wrapBatch(err)
		}
		for i, c := range copies {
			if c != nil {
				ops[i].r.stored(c)
			}
		}
		return nil
	}
	if b, ok := t.ops.(batcher); ok && !t.spec.expires && !t.spec.soft {
		return t.wrapBatch(t.together(ctx, b, ops))
	}
	err := t.each(ctx, ops)
	if e, ok := err.(*BatchError); ok && t.tx == nil && (e.Index > 0 || errors.Is(e, fault.UnknownOutcome)) {
		e.Errs = make([]error, len(ops))
		e.Errs[e.Index] = e.Err
		for i := range ops[e.Index+1:] {
			e.Errs[e.Index+1+i] = errNotTried
		}
	}
	return t.wrapBatch(err)
}

// together gives a Batcher all writes at once, if none of them is bad.
func (t *table) together(ctx context.Context, b batcher, ops []Op) error {
	ctx, call, err := t.enter(ctx)
	if err != nil {
		return err
	}
	defer call.end()
	ws := make([]Write, len(ops))
	for i, op := range ops {
		w, id := &ws[i], op.id
		if op.err != nil {
			return &BatchError{Index: i, Err: t.wrap(op.kind, idOf(op.r), op.err)}
		}
		switch op.kind {
		case "create", "update":
			id = idOf(op.r)
			w.Record, w.Condition, err = t.prepare(op.kind, op.r, op.opts)
			if err == nil {
				w.ID = w.Record.ID
			}
		case "delete":
			w.ID = op.id
			w.Condition.Must = Exist
			w.Condition.Version, _, err = prepareDelete(op.id, op.opts)
		default:
			op.kind, err = "batch", invalidf("empty Op")
		}
		if err != nil {
			return &BatchError{Index: i, Err: t.wrap(op.kind, id, err)}
		}
	}
	errs := b.Write(ctx, t.spec.Name, ws)
	var failed *BatchError
	for i, err := range errs {
		if err == nil {
			if r := ops[i].r; r != nil {
				r.stored(ws[i].Record)
			}
			continue
		}
		errs[i] = t.wrap(ops[i].kind, ws[i].ID, call.Late(ctx, err))
		if failed == nil {
			failed = &BatchError{Index: i, Err: errs[i], Errs: errs}
		}
	}
	if failed == nil {
		return nil
	}
	return failed
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
		err := t.wrap(op.kind, idOf(op.r), op.err)
		switch {
		case err != nil:
		case op.kind == "create":
			err = t.Create(ctx, op.r)
		case op.kind == "update":
			err = t.Update(ctx, op.r, op.opts...)
		case op.kind == "delete":
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
