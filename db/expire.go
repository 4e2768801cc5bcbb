package db

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// A record's expiry is kept in its metadata, under a key that no user's can be:
// so every backend stores it, and finds what has expired by an index.

// TTL has the records of a table expire. One that is written without Expires
// does so d after it was written; with 0 it never does. An expired record is not
// there, by this process's clock: it is not found, not counted, and its id is
// free. It is removed when its id is used, and else by every process that has
// declared TTL, about once in WithPurgeInterval. A process that opened the table
// before anyone had declared TTL counts expired records until they are removed. WithChanges is notified of it as of a
// deletion. Without TTL, Expires is ErrInvalid.
func TTL(d time.Duration) TableOption {
	return func(t *TableSpec) error {
		if d < 0 {
			return invalidf("time to live %v, want 0 or more", d)
		}
		t.expires, t.ttl = true, d
		return nil
	}
}

// expiry returns when a record that is written now is to expire.
func (t TableSpec) expiry(r *Record, op string) (time.Time, error) {
	switch {
	case r.Expires.IsZero() && t.ttl > 0:
		return r.Updated.Add(t.ttl), nil
	case r.Expires.IsZero():
		return time.Time{}, nil
	case !t.expires:
		return time.Time{}, invalidf("the record expires, and the table was opened without TTL")
	case op == "create" && !r.Expires.After(r.Updated):
		return time.Time{}, invalidf("the record expires at %v, which has passed", r.Expires)
	}
	v, err := normal(FieldExpires, r.Expires)
	if err != nil {
		return time.Time{}, err
	}
	return v.(time.Time), nil
}

// conceal puts into the metadata what is kept there.
func (r *Record) conceal() {
	if !r.Expires.IsZero() {
		if r.Metadata == nil {
			r.Metadata = map[string]any{}
		}
		r.Metadata[FieldExpires] = r.Expires
	}
}

// reveal takes out of the metadata what conceal put there.
func (r *Record) reveal() *Record {
	if v, ok := r.Metadata[FieldExpires].(time.Time); ok {
		r.Expires = v
		delete(r.Metadata, FieldExpires)
	}
	r.unearth()
	if len(r.Metadata) == 0 {
		r.Metadata = nil
	}
	return r
}

func (r *Record) expired(now time.Time) bool { return !r.Expires.IsZero() && !r.Expires.After(now) }

// get returns a record that has not expired.
func (t *table) get(ctx context.Context, id string) (*Record, error) {
	r, err := t.ops.Get(ctx, t.spec.Name, id)
	if err != nil {
		return nil, err
	}
	if r.reveal().expired(time.Now()) {
		return nil, fault.NotFound
	}
	return r, nil
}

// query is the driver's Query without what has expired: it reads on until it has enough.
func (t *table) query(ctx context.Context, q Query) ([]*Record, error) {
	now := time.Now()
	var live []*Record
	for want := q.Limit; ; {
		rs, err := t.ops.Query(ctx, t.place(q), q)
		if err != nil {
			return nil, err
		}
		if len(rs) == 0 {
			return live, nil
		}
		read, last := len(rs), rs[len(rs)-1]
		rs = slices.DeleteFunc(rs, func(r *Record) bool { return r.reveal().expired(now) })
		if live == nil {
			live = rs
		} else {
			live = append(live, rs...)
		}
		if read < q.Limit || len(live) >= want {
			return live[:min(len(live), want)], nil
		}
		q.After, q.Limit = q.at(last), min(2*q.Limit, maxLimit+1) // there may be many
	}
}

// count is the driver's Count without what has expired.
func (t *table) count(ctx context.Context, q Query) (int64, error) {
	place := t.place(q)
	if !q.deleted && !t.mayExpire() {
		return t.ops.Count(ctx, place, q.Filter)
	}
	over := LessOrEqual(FieldExpires, time.Now())
	if t.f.features.Not {
		return t.ops.Count(ctx, place, And(append(q.Filter.Conjuncts(), Not(over))...))
	}
	all, err := t.ops.Count(ctx, place, q.Filter)
	if err != nil {
		return 0, err
	}
	n, err := t.ops.Count(ctx, place, And(append(q.Filter.Conjuncts(), over)...))
	if err != nil {
		return 0, err
	}
	return max(0, all-n), nil
}

// mayExpire reports whether the table has records that expire, whoever declared TTL.
func (t *table) mayExpire() bool {
	if t.spec.expires || t.spec.othersExpire || t.f.features.AnyKey && t.f.features.Compare {
		return true
	}
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	return t.f.specs[t.name].expires
}

// hasExpiry asks whether others have declared TTL.
func (f *front) hasExpiry(ctx context.Context, s TableSpec) (bool, error) {
	x, ok := f.driver.(indexer)
	if s.expires || !ok {
		return false, nil
	}
	return x.HasIndex(ctx, s.Name, []Order{{Key: FieldExpires}})
}

// vacate removes a record that has expired, if that is what an id stands for.
func (t *table) vacate(ctx context.Context, id string) (bool, error) {
	r, err := t.ops.Get(ctx, t.spec.Name, id)
	switch {
	case errors.Is(err, fault.NotFound):
		return false, nil
	case err != nil:
		return false, err
	case !r.reveal().expired(time.Now()):
		return false, nil
	}
	err = t.drop(ctx, r)
	if kind := fault.KindOf(err); kind == fault.NotFound || kind == fault.Conflict { // another was faster
		return true, nil
	}
	return err == nil, err
}

// drop removes a record if it is still what was read.
func (t *table) drop(ctx context.Context, r *Record) error {
	err := t.ops.Delete(ctx, t.spec.Name, r.ID, r.Version)
	if err == nil && t.notes() {
		t.tx.changes = append(t.tx.changes, Change{Table: t.name, ID: r.ID, Kind: Deleted, Version: r.Version, Record: r})
	}
	return err
}

// store is the driver's Put, for which an expired record is none.
func (t *table) store(ctx context.Context, r *Record, c Condition) error {
	if t.spec.expires && c.Must != NotExist {
		if _, err := t.vacate(ctx, r.ID); err != nil {
			return err
		}
	}
	kind, err := t.kindOf(ctx, r.ID, c)
	if err != nil {
		return err
	}
	r.conceal()
	for {
		err = t.ops.Put(ctx, t.spec.Name, r, c)
		if c.Must != NotExist || !errors.Is(err, fault.Exists) {
			break
		}
		free, e := t.vacate(ctx, r.ID)
		if e != nil {
			return e
		}
		if !free {
			break
		}
	}
	r.reveal()
	if err == nil {
		t.changed(r, kind)
	}
	return err
}

// purged is how many records are looked for at once to be removed.
const purged = 500

// purge removes, now and then, what has expired.
func (f *front) purge(ctx context.Context) {
	for {
		wait := f.o.purge - f.o.purge/8 + rand.N(f.o.purge/4+1) // not all processes at once
		if backoff.Sleep(ctx, wait) != nil {
			return
		}
		f.mu.Lock()
		var tables []*table
		for name, s := range f.specs {
			if s.expires {
				tables = append(tables, &table{f: f, ops: f.driver, name: name, spec: s})
			}
			if s.soft {
				tables = append(tables, &table{f: f, ops: f.driver, spec: s.trash()})
			}
		}
		f.mu.Unlock()
		for _, t := range tables {
			err := fault.Guard(func() error { return t.sweep(ctx) })
			if err != nil && ctx.Err() == nil {
				f.o.log.Warn("db: expired records stay until the next time", "backend", f.o.backend.Name, "table", t.spec.Name, "error", err)
			}
		}
	}
}

// sweep removes what has expired from a table.
func (t *table) sweep(ctx context.Context) error {
	for ctx.Err() == nil {
		n, more, err := t.sweepSome(ctx)
		if err != nil || n == 0 || !more {
			return err
		}
	}
	return nil
}

func (t *table) sweepSome(ctx context.Context) (removed int, more bool, err error) {
	ctx, call, err := t.f.enter(ctx)
	if err != nil {
		return 0, false, err
	}
	defer call.end()
	rs, err := t.ops.Query(ctx, t.spec.Name, Query{
		Filter: LessOrEqual(FieldExpires, time.Now()), Order: []Order{{Key: FieldExpires}, {Key: FieldID}}, Limit: purged, NoData: !t.tells(),
	})
	if err != nil {
		return 0, false, err
	}
	var failed error
	for _, r := range rs {
		version := r.Version // of the row: reveal gives a deleted record the one that it had
		r.reveal().Version = version
		if t.tells() && t.name != "" {
			err = t.inTx(ctx, "delete", r.ID, func(ctx context.Context, x *table) error { return x.drop(ctx, r) })
		} else {
			err = t.drop(ctx, r)
		}
		switch kind := fault.KindOf(err); {
		case err == nil:
			removed++
		case ctx.Err() != nil && removed > 0: // its time is over: the next one goes on
			return removed, true, nil
		case ctx.Err() != nil:
			return 0, false, err
		case kind != fault.NotFound && kind != fault.Conflict && failed == nil: // of which another was faster
			failed = err // it holds up no others
		}
	}
	return removed, len(rs) == purged, failed
}
