package db

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// SoftDelete has Delete keep the records of a table for some time, 0 for
// indefinitely, in a table of their own: hidden from Read, Search and Count,
// except with OnlyDeleted, and restorable by Table.Restore. Searches among the others
// cost no more for it. Of several records that had one id, the last is kept. A
// record that expires is not kept.
//
// Where the backend has no transactions, a Delete that fails half way, or whose process
// dies, leaves the record where it was, and a copy of it among the deleted ones, in the
// place of an earlier record with that id. A Restore or a Purge that fails half way is
// ErrUnknownOutcome; the next one completes it.
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
		Name: t.trashName(), FullText: t.FullText, Progress: t.Progress, expires: true,
		Indexes: merge(ofDeleted(t.Indexes), [][]Order{{{Key: FieldDeleted}}, {{Key: FieldExpires}}}),
	}
}

func (t TableSpec) trashName() string { return t.Name + "_deleted_" }

// A deleted record's version is in its metadata: what its row has is another one.
// So what searches and indexes say of FieldVersion they say of keyVersion.

func ofDeleted(indexes [][]Order) [][]Order {
	all := make([][]Order, len(indexes))
	for i, keys := range indexes {
		all[i] = deletedOrder(keys)
	}
	return all
}

func deletedOrder(keys []Order) []Order {
	keys = slices.Clone(keys)
	for i := range keys {
		if keys[i].Key == FieldVersion {
			keys[i].Key = keyVersion
		}
	}
	return keys
}

func deletedFilter(f Filter) Filter {
	if f.Key == FieldVersion {
		f.Key = keyVersion
	}
	f.Filters = slices.Clone(f.Filters)
	for i, s := range f.Filters {
		f.Filters[i] = deletedFilter(s)
	}
	return f
}

// place is the table that a search looks into.
func (t *table) place(q Query) string {
	if q.deleted {
		return t.spec.trashName()
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

// bury keeps a record among the deleted ones, unless a later one is there. undo
// puts back what it replaced, if nobody has replaced it since: also another who
// deletes the same record, whose copy is not ours to remove.
func (t *table) bury(ctx context.Context, r *Record) (undo func() error, err error) {
	trash := t.spec.trashName()
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
			if v, _ := old.Metadata[keyVersion].(int64); uint64(v) > r.Version {
				return func() error { return nil }, nil
			}
			cond = Condition{Must: Exist, Version: old.Version}
		case errors.Is(err, fault.NotFound):
			old, err = nil, nil
		default:
			return nil, err
		}
		if old != nil && !old.Created.Equal(c.Created) { // another record's: what is written over it would get its Created
			err = t.ops.Delete(ctx, trash, r.ID, old.Version)
			cond = Condition{Must: NotExist}
		}
		if err == nil {
			err = t.ops.Put(ctx, trash, c, cond)
		}
		kind := fault.KindOf(err)
		switch {
		case err == nil:
			return func() error { return t.unbury(ctx, r, old, c) }, nil
		case errors.Is(err, dbvalue.ErrSerialization) || kind != fault.Exists && kind != fault.Conflict && kind != fault.NotFound:
			return nil, err
		}
	}
}

// unbury takes c, the copy of r, away again and puts back old, if there was one. But
// a copy of the record that lives is not put back: it was made by a concurrent Delete
// that lost as well, or is left of a Restore.
func (t *table) unbury(ctx context.Context, r, old, c *Record) (err error) {
	trash := t.spec.trashName()
	same := old != nil && old.Created.Equal(r.Created)
	if same {
		live, err := t.get(ctx, r.ID)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		if err == nil && live.Created.Equal(r.Created) {
			same, old = false, nil
		}
	}
	if same {
		err = t.ops.Put(ctx, trash, old, Condition{Must: Exist, Version: c.Version})
	} else {
		err = t.ops.Delete(ctx, trash, c.ID, c.Version)
		if err == nil && old != nil {
			err = t.ops.Put(ctx, trash, old, Condition{Must: NotExist})
		}
	}
	if overtaken(err) || errors.Is(err, fault.Exists) {
		return nil // it is another's by now
	}
	return err
}

// overtaken reports whether another has changed or removed what a write was for. A
// transaction that collided is not: it runs again.
func overtaken(err error) bool {
	kind := fault.KindOf(err)
	return (kind == fault.NotFound || kind == fault.Conflict) && !errors.Is(err, dbvalue.ErrSerialization)
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
			return dbvalue.Conflict(r.Version, version)
		}
		undo := func() error { return nil }
		if soft {
			undo, err = t.bury(ctx, r)
			if err != nil {
				return err
			}
		}
		err = t.drop(ctx, r)
		if !overtaken(err) {
			return err
		}
		if e := undo(); e != nil { // it was not this call that removed it
			return errors.Join(err, e)
		}
		if version != 0 || fault.KindOf(err) != fault.Conflict || ctx.Err() != nil {
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
		r, err := t.ops.Get(ctx, t.spec.trashName(), id)
		if err != nil {
			return err
		}
		if v := r.reveal().Version; v != version {
			return fault.Markf(ErrConflict, "version %d is kept, not %d", v, version)
		}
	}
	kept := t.ops.Delete(ctx, t.spec.trashName(), id, 0)
	if live == nil {
		if errors.Is(kept, fault.NotFound) {
			return nil
		}
		return t.halfWay(kept)
	}
	return kept
}

// halfWay is the error of a second write. Outside of a transaction the first one is
// done: whatever the second says, it is not that nothing was.
func (t *table) halfWay(err error) error {
	if err == nil || t.tx != nil {
		return err
	}
	return fault.Instead(ErrUnknownOutcome, err)
}

func (t *table) Restore(ctx context.Context, id string) (r *Record, err error) {
	if t.tx == nil && t.f.features.Transactions {
		err = t.inTx(ctx, "restore", id, func(ctx context.Context, x *table) (err error) { r, err = x.Restore(ctx, id); return err })
		return r, err
	}
	if err := checkID(id); err != nil {
		return nil, t.wrap("restore", "", err)
	}
	if !t.spec.soft {
		return nil, t.wrap("restore", id, invalidf("the table was opened without SoftDelete"))
	}
	err = t.call(ctx, "restore", id, func(ctx context.Context) (err error) { r, err = t.restore(ctx, id); return err })
	return r, err
}

// restored returns what is in r's place if a Restore that went no further put it
// there, else the error. It is the same record with a later version than the one
// that was deleted: a Delete that is in progress would remove that one only.
func (t *table) restored(ctx context.Context, r *Record, was uint64, exists error) (*Record, error) {
	live, err := t.get(ctx, r.ID)
	if err == nil && live.Created.Equal(r.Created) && live.Version > was {
		return live, nil
	}
	if err == nil || errors.Is(err, fault.NotFound) {
		err = exists
	}
	return nil, err
}

func (t *table) restore(ctx context.Context, id string) (*Record, error) {
	trash := t.spec.trashName()
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
	was := r.Version
	err = t.store(ctx, r, Condition{Must: NotExist})
	if t.tx == nil && errors.Is(err, fault.Exists) {
		r, err = t.restored(ctx, r, was, err)
	}
	if err != nil {
		return nil, err
	}
	err = t.ops.Delete(ctx, trash, id, kept)
	if overtaken(err) {
		err = nil // deleted again since, or purged
	}
	if err != nil {
		return nil, t.halfWay(err)
	}
	return r, nil
}
