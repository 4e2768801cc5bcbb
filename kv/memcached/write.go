package memcached

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	rev := newRevision()
	op := seal(w, rev)
	switch {
	case w.IfRevision != 0:
		f, err := d.look(ctx, w.Key)
		if err != nil {
			return 0, notApplied(err)
		}
		if f == nil || f.dead || f.item.Revision != w.IfRevision {
			return 0, kv.ErrConflict
		}
		op.Verb, op.CAS = memcached.CompareAndSwap, f.cas
	case w.IfAbsent:
		op.Verb = memcached.Add
	}
	err := d.store(ctx, w.Key, op, rev)
	if err != nil || op.Done {
		return rev, err
	}
	if w.IfRevision != 0 {
		return 0, kv.ErrConflict
	}
	// Somebody is there; if it is only an item whose life is over, it may be
	// taken over.
	f, err := d.look(ctx, w.Key)
	if err != nil {
		return 0, notApplied(err)
	}
	if f == nil {
		return d.Put(ctx, w) // it has just gone
	}
	if !f.dead {
		return 0, kv.ErrExists
	}
	op = seal(w, rev)
	op.Verb, op.CAS = memcached.CompareAndSwap, f.cas
	if err := d.store(ctx, w.Key, op, rev); err != nil {
		return 0, err
	}
	if !op.Done {
		return 0, kv.ErrExists
	}
	return rev, nil
}

// notApplied is the error of a read that a write had to begin with: nothing
// was written.
func notApplied(err error) error {
	if conn.IsContext(err) {
		return err
	}
	return fault.Mark(kv.ErrUnavailable, err)
}

// store makes a write. If its answer is lost, its item shows whether it was
// done.
func (d *driver) store(ctx context.Context, key string, op *memcached.Op, rev kv.Revision) error {
	err := d.do(ctx, op)
	if err == nil || !errors.Is(err, fault.UnknownOutcome) || ctx.Err() != nil {
		return err
	}
	if f, lookErr := d.look(ctx, key); lookErr == nil && f != nil && f.item.Revision == rev {
		op.Done = true
		return nil
	}
	return err
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	if rev == 0 {
		return d.do(ctx, &memcached.Op{Verb: memcached.Delete, Key: wireKey(key)})
	}
	f, err := d.look(ctx, key)
	if err != nil {
		return notApplied(err)
	}
	if f == nil || f.dead || f.item.Revision != rev {
		return kv.ErrConflict
	}
	// There is no conditional delete, but a conditional write whose life is
	// over at once.
	op := seal(kv.Write{Key: key}, newRevision())
	op.Verb, op.CAS, op.Exptime = memcached.CompareAndSwap, f.cas, -1
	if err := d.do(ctx, op); err != nil {
		return err
	}
	if !op.Done {
		return kv.ErrConflict
	}
	return nil
}

func newRevision() kv.Revision { return kv.Revision(max(rand.Uint64(), 1)) }
