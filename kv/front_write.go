package kv

import (
	"context"

	"github.com/micro/go-platform/internal/fault"
)

func (f *front) Put(ctx context.Context, key string, value []byte, opts ...PutOption) (Revision, error) {
	start := f.now()
	rev, err := f.put(ctx, key, value, opts)
	if err != nil || f.observe != nil {
		err = f.done("put", key, 1, start, err)
	}
	return rev, err
}

func (f *front) put(ctx context.Context, key string, value []byte, opts []PutOption) (Revision, error) {
	w, err := f.write(key, value, opts)
	if err != nil {
		return 0, err
	}
	if w.conditional {
		if w.IfAbsent {
			return 0, invalidf("IfAbsent and IfRevision together")
		}
		w.IfAbsent = w.IfRevision == 0
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer b.end()
	rev, err := f.driver.Put(ctx, w)
	err = b.late(err)
	if err != nil {
		if w.conditional && w.IfAbsent && isKind(err, fault.Exists) {
			err = ErrConflict
		}
		return 0, err
	}
	return rev, nil
}

// write checks one write and its options.
func (f *front) write(key string, value []byte, opts []PutOption) (Write, error) {
	w := Write{Key: f.namespace + key, Value: value}
	if err := f.check(key); err != nil {
		return w, err
	}
	for _, opt := range opts {
		if opt == nil {
			return w, invalidf("nil option")
		}
		var err error
		w, err = opt.put(w) // by value: no allocation
		if err != nil {
			return w, err
		}
	}
	if limit := f.features.MaxValue; limit > 0 && len(value) > limit {
		return w, fault.Markf(ErrTooLarge, "value of %d bytes, the limit is %d", len(value), limit)
	}
	return w, nil
}

func (f *front) Delete(ctx context.Context, key string, opts ...DeleteOption) error {
	start := f.now()
	err := f.delete(ctx, key, opts)
	if err != nil || f.observe != nil {
		err = f.done("delete", key, 1, start, err)
	}
	return err
}

func (f *front) delete(ctx context.Context, key string, opts []DeleteOption) error {
	if err := f.check(key); err != nil {
		return err
	}
	var w Write
	for _, opt := range opts {
		if opt == nil {
			return invalidf("nil option")
		}
		var err error
		w, err = opt.delete(w)
		if err != nil {
			return err
		}
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer b.end()
	return b.late(f.driver.Delete(ctx, f.namespace+key, w.IfRevision))
}
