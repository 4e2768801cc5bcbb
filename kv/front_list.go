package kv

import (
	"context"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

func (f *front) List(ctx context.Context, prefix string, opts ...ListOption) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if err := f.list(ctx, prefix, opts, yield); err != nil {
			yield(Item{}, fault.Wrap(f.scope, "list", fronts.Cut(prefix), err))
		}
	}
}

// begin checks the call of a List or Watch, which the driver is able to do or not.
func (f *front) begin(ctx context.Context, prefix string, able bool) error {
	switch {
	case !utf8.ValidString(prefix):
		return invalidf("prefix is not valid UTF-8")
	case ctx.Err() != nil:
		return ctx.Err()
	case f.life.Closed():
		return ErrClosed
	case !able:
		return ErrUnsupported
	}
	return nil
}

// list returns the error that ends the sequence, nil if the reader has left.
func (f *front) list(ctx context.Context, prefix string, opts []ListOption, yield func(Item, error) bool) error {
	var l listing
	for _, opt := range opts {
		if opt == nil {
			return invalidf("nil option")
		}
		if err := opt.list(&l); err != nil {
			return err
		}
	}
	d, ok := f.driver.(listDriver)
	if err := f.begin(ctx, prefix, ok && f.features.List); err != nil {
		return err
	}
	after := ""
	if l.after != "" {
		after = f.namespace + l.after
	}
	ctx, release := f.life.Join(ctx)
	defer release()
	n := 0
	for item, err := range d.List(ctx, f.namespace+prefix, after) {
		if err != nil {
			if f.life.Closed() {
				return ErrClosed
			}
			return err
		}
		item.Key, item.Value = item.Key[len(f.namespace):], slices.Clip(item.Value)
		n++
		if !yield(item, nil) || n == l.limit {
			return nil
		}
		if f.life.Closed() {
			return ErrClosed
		}
	}
	return nil
}
