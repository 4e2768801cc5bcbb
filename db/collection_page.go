package db

import "context"

// Docs is a page of a Collection.
type Docs[T any] struct {
	Docs []Doc[T]
	Next string // cursor of the next page; empty on the last one
}

// Search returns a page of the values that the options ask for, as Table.Search
// does.
func (c *Collection[T]) Search(ctx context.Context, opts ...SearchOption) (Docs[T], error) {
	p, err := c.t.Search(ctx, opts...)
	if err != nil {
		return Docs[T]{}, err
	}
	docs := Docs[T]{Docs: make([]Doc[T], len(p.Records)), Next: p.Next}
	for i, r := range p.Records {
		docs.Docs[i], err = c.doc(r)
		if err != nil {
			return Docs[T]{}, err
		}
	}
	return docs, nil
}

// Count counts the values that the options ask for.
func (c *Collection[T]) Count(ctx context.Context, opts ...SearchOption) (int64, error) {
	return c.t.Count(ctx, opts...)
}

// Batch does several writes, as Table.Batch does.
func (c *Collection[T]) Batch(ctx context.Context, ops ...Op) error { return c.t.Batch(ctx, ops...) }

// CreateOp is Create in a Batch.
func (c *Collection[T]) CreateOp(id string, v T) Op {
	r, err := c.record(id, v)
	return Op{kind: "create", r: r, err: err}
}

// PutOp is Put in a Batch.
func (c *Collection[T]) PutOp(id string, v T) Op {
	r, err := c.record(id, v)
	return Op{kind: "update", r: r, opts: []WriteOption{Upsert()}, err: err}
}

// UpdateOp is Update in a Batch.
func (c *Collection[T]) UpdateOp(d Doc[T]) Op {
	if d.Record == nil {
		return Op{kind: "update", err: invalidf("document without a record")}
	}
	r, err := c.record(d.ID, d.Value)
	if err == nil {
		r.Version, r.Expires = d.Version, d.Expires
	}
	return Op{kind: "update", r: r, err: err}
}
