package kv

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// parallel is how many calls stand for one batch on a backend without batches.
const parallel = 8

// each runs f for 0 to n-1, a few at a time.
func each(n int, f func(i int)) {
	if n <= 1 {
		if n == 1 {
			f(0)
		}
		return
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next int
	)
	for range min(parallel, n) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}

func (f *front) getEach(ctx context.Context, keys []string) (map[string]Item, error) {
	var (
		mu    sync.Mutex
		items = make(map[string]Item, len(keys))
		bad   = map[string]error{}
	)
	each(len(keys), func(i int) {
		item, err := getExpiring(ctx, f.driver, keys[i])
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			items[keys[i]] = item
		case !errors.Is(err, fault.NotFound):
			bad[keys[i]] = err
		}
	})
	if len(bad) > 0 {
		return items, &BatchError{Errors: bad}
	}
	return items, nil
}

func (f *front) putEach(ctx context.Context, writes []Write) []error {
	errs := make([]error, len(writes))
	each(len(writes), func(i int) { _, errs[i] = f.driver.Put(ctx, writes[i]) })
	return errs
}

// strip takes the namespace off the keys of a BatchError and wraps each key's
// error as the single call would have. Other errors stay as they are.
func (f *front) strip(err error, op string) error {
	var b *BatchError
	if !errors.As(err, &b) {
		return err
	}
	out := &BatchError{Errors: make(map[string]error, len(b.Errors))}
	for k, e := range b.Errors {
		k = strings.TrimPrefix(k, f.namespace)
		out.Errors[k] = fault.Wrap(f.scope, op, fronts.Cut(k), e)
	}
	return out
}

func (f *front) List(ctx context.Context, prefix string, opts ...ListOption) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if err := f.list(ctx, prefix, opts, yield); err != nil {
			yield(Item{}, fault.Wrap(f.scope, "list", fronts.Cut(prefix), err))
		}
	}
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
	switch {
	case !utf8.ValidString(prefix):
		return invalidf("prefix is not valid UTF-8")
	case ctx.Err() != nil:
		return ctx.Err()
	case f.life.Closed():
		return ErrClosed
	case !ok || !f.features.List:
		return ErrUnsupported
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
		if n++; !yield(item, nil) || n == l.limit {
			return nil
		}
		if f.life.Closed() {
			return ErrClosed
		}
	}
	return nil
}
