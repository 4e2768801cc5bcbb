package db

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// SoftDelete has Delete keep the records of a table for some time, 0 for
// indefinitely, in a table of their own: hidden from Read, Search and Count,
// except with OnlyDeleted, and restorable by Table.Restore. Searches among the others
// cost no more for it. Of several records that had one id, the last is kept. A
// record that expires is not kept.
//
// Where the backend has no transactions, a process that dies in between leaves the
// record where it was, and a copy among those that were deleted.
func SoftDelete(keep time.Duration) TableOption {
	return func(t *TableSpec) error {
		if keep < 0 {
			return invalidf("deleted records are kept for %v, want 0 or more", keep)
		}
		t.soft, t.keep = true, keep
		return nil
	}
}

// OnlyDeleted has a search, or a count, look at the records that a SoftDelete keeps,
// instead of the others: in the same indexes, and by FieldDeleted. Their Version is
// the one that was deleted.
func OnlyDeleted() SearchOption {
	return func(o *searchOptions) error { o.deleted = true; return nil }
}

// Purge makes Delete remove a record for good, also one that a SoftDelete keeps.
func Purge() WriteOption {
	return func(o *writeOptions) error { o.purge = true; return nil }
}

// What a deleted record has in its metadata, beside what it had before.
const (
	keyVersion = "@was" // its version
	keyExpires = "@until"
)

// trash is the table of the deleted records. No name of a user ends in '_'.
func (t TableSpec) trash() TableSpec {
	return TableSpec{
		Name: t.Name + "_deleted_", FullText: t.FullText, Progress: t.Progress, expires: true,
		Indexes: merge(t.Indexes, [][]Order{{{Key: FieldDeleted}}, {{Key: FieldExpires}}}),
	}
}

// place is the table that a search looks into.
func (t *table) place(q Query) string {
	if q.deleted {
		return t.spec.trash().Name
	}
	return t.spec.Name
}

// unearth is reveal for a deleted record.
func (r *Record) unearth() {
	at, ok := r.Metadata[FieldDeleted].(time.Time)
	if !ok {
		return
	}
	r.Deleted = at
	if v, ok := r.Metadata[keyVersion].(int64); ok {
		r.Version = uint64(v)
	}
	for _, key := range []string{FieldDeleted, keyVersion, keyExpires} {
		delete(r.Metadata, key)
	}
}

// bury keeps a record among the deleted ones, unless a later one is there.
func (t *table) bury(ctx context.Context, r *Record) error {
	trash := t.spec.trash().Name
	now := timestamp(time.Now())
	c := r.Clone()
	if c.Metadata == nil {
		c.Metadata = map[string]any{}
	}
	c.Metadata[FieldDeleted], c.Metadata[keyVersion] = now, int64(r.Version)
	c.Expires = time.Time{}
	if t.spec.keep > 0 {
		c.Expires = now.Add(t.spec.keep)
	}
	if !r.Expires.IsZero() {
		c.Metadata[keyExpires] = r.Expires
		if c.Expires.IsZero() || r.Expires.Before(c.Expires) {
			c.Expires = r.Expires
		}
	}
	c.conceal()
	for {
		old, err := t.ops.Get(ctx, trash, r.ID)
		cond := Condition{Must: NotExist}
		switch {
		case err == nil:
			if v, _ := old.Metadata[keyVersion].(int64); uint64(v) >= r.Version {
				return nil
			}
			cond = Condition{Must: Exist, Version: old.Version}
		case !errors.Is(err, fault.NotFound):
			return err
		}
		err = t.ops.Put(ctx, trash, c, cond)
		if kind := fault.KindOf(err); errors.Is(err, ErrSerialization) || kind != fault.Exists && kind != fault.Conflict && kind != fault.NotFound {
			return err
		}
	}
}

// remove is a Delete: it notes what was there, and keeps it if that is to be.
func (t *table) remove(ctx context.Context, id string, version uint64, purge bool) error {
	soft := t.spec.soft && !purge
	if !t.notes() && !soft && !t.spec.expires {
		return t.ops.Delete(ctx, t.spec.Name, id, version)
	}
	for {
		r, err := t.get(ctx, id)
		switch {
		case err != nil:
			return err
		case version != 0 && version != r.Version:
			return fault.Markf(ErrConflict, "version %d is stored, not %d", r.Version, version)
		}
		if soft {
			if err := t.bury(ctx, r); err != nil {
				return err
			}
		}
		err = t.drop(ctx, r)
		if version != 0 || fault.KindOf(err) != fault.Conflict || errors.Is(err, ErrSerialization) || ctx.Err() != nil {
			return err
		}
	}
}

// purge removes a record and what is kept of it.
func (t *table) purge(ctx context.Context, id string, version uint64) error {
	live := t.remove(ctx, id, version, true)
	if !t.spec.soft || live != nil && !errors.Is(live, fault.NotFound) {
		return live
	}
	if live != nil && version != 0 {
		r, err := t.ops.Get(ctx, t.spec.trash().Name, id)
		if err != nil {
			return err
		}
		if v := r.reveal().Version; v != version {
			return fault.Markf(ErrConflict, "version %d is kept, not %d", v, version)
		}
	}
	kept := t.ops.Delete(ctx, t.spec.trash().Name, id, 0)
	if live == nil && errors.Is(kept, fault.NotFound) {
		return nil
	}
	return kept
}

func (t *table) Restore(ctx context.Context, id string) (*Record, error) {
	if t.tx == nil && t.f.features.Transactions {
		var r *Record
		err := t.inTx(ctx, "restore", id, func(ctx context.Context, x *table) (err error) { r, err = x.Restore(ctx, id); return err })
		return r, err
	}
	if err := checkID(id); err != nil {
		return nil, t.wrap("restore", "", err)
	}
	if !t.spec.soft {
		return nil, t.wrap("restore", id, invalidf("the table was opened without SoftDelete"))
	}
	ctx, leave, err := t.enter(ctx)
	if err != nil {
		return nil, t.wrap("restore", id, err)
	}
	defer leave()
	r, err := t.restore(ctx, id)
	return r, t.wrap("restore", id, err)
}

func (t *table) restore(ctx context.Context, id string) (*Record, error) {
	trash := t.spec.trash().Name
	r, err := t.ops.Get(ctx, trash, id)
	if err != nil {
		return nil, err
	}
	kept := r.Version
	expires, _ := r.Metadata[keyExpires].(time.Time)
	if r.reveal().expired(time.Now()) {
		return nil, fault.NotFound
	}
	r.Expires, r.Deleted, r.Updated = expires, time.Time{}, timestamp(time.Now())
	if err := t.store(ctx, r, Condition{Must: NotExist}); err != nil {
		return nil, err
	}
	err = t.ops.Delete(ctx, trash, id, kept)
	if kind := fault.KindOf(err); kind == fault.NotFound || kind == fault.Conflict && !errors.Is(err, ErrSerialization) {
		err = nil // deleted again since, or purged
	}
	return r, err
}
