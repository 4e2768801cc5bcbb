package sql

import (
	"context"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// A write of a record without lists is one statement that decides by itself:
//
//	Create   INSERT … ON CONFLICT DO NOTHING
//	Update   UPDATE … WHERE id = ? AND version = ?
//	Delete   DELETE … WHERE id = ? AND version is not above all that were deleted
//
// What it does not find, and what has lists, takes the way through a
// transaction: look at the record and lock it, decide, write it and its lists.

// encoded is a record's metadata as a row has it.
type encoded struct {
	metadata, sortable string
	lists              int
}

func encode(r *db.Record) (e encoded, err error) {
	md, err := dbdriver.EncodeMetadata(r.Metadata)
	if err != nil {
		return e, fault.Mark(fault.Invalid, err)
	}
	e.metadata = string(md)
	e.sortable, e.lists = encodeKeys(r.Metadata)
	return e, nil
}

// data is nil for no bytes, which the clients of the databases agree on.
func data(r *db.Record) any {
	if len(r.Data) == 0 {
		return nil
	}
	return r.Data
}

func (d *driver) Put(ctx context.Context, name string, r *db.Record, c db.Condition) error {
	e, err := encode(r)
	if err != nil {
		return err
	}
	t, err := d.writable(name)
	if err != nil {
		return err
	}
	if e.lists == 0 {
		switch {
		case c.Must == db.NotExist:
			return d.single(ctx, func(s *session) error { return s.create(ctx, t, r, e) })
		case c.Must == db.Exist && (c.Version != 0 || t.overwrite != ""):
			done := false
			err := d.single(ctx, func(s *session) (err error) {
				done, err = s.update(ctx, t, r, e, c.Version)
				return err
			})
			if done || err != nil {
				return err
			}
		}
	}
	used := []string{t.look, t.replace, t.create, t.forget}
	return d.do(ctx, used, func(s *session) error { _, err := s.put(ctx, t, r, e, c); return err })
}

// create adds a record.
func (s *session) create(ctx context.Context, t *table, r *db.Record, e encoded) error {
	got, ok, err := s.returning(ctx, 1, t.create, r.ID, r.Created.UnixMicro(), r.Updated.UnixMicro(), e.metadata, e.sortable, int64(e.lists), r.ContentType, data(r), t.name)
	switch {
	case sql.IsDuplicate(err):
		return fault.Exists
	case err != nil:
		return err
	case !ok:
		return s.refused(ctx, t)
	}
	r.Version = uint64(got[0])
	return s.putLists(ctx, t, r, e)
}

// refused says why nothing was created: the id is taken, unless somebody has
// removed the table from the catalog.
func (s *session) refused(ctx context.Context, t *table) error {
	n, err := s.number(ctx, s.d.kind.Rebind("SELECT COUNT(*) FROM "+s.d.kind.Quote(catalog)+" WHERE name = ?"), t.name)
	switch {
	case err != nil:
		return err
	case n > 0:
		return fault.Exists
	}
	return fault.Markf(fault.Invalid, "the table is gone from the catalog; Table makes it again")
}

// update writes r over a record that has the version, 0 for any, and no lists.
// It reports false if there is none.
func (s *session) update(ctx context.Context, t *table, r *db.Record, e encoded, version uint64) (bool, error) {
	text, args := t.overwrite, []any{r.Updated.UnixMicro(), e.metadata, e.sortable, r.ContentType, data(r), r.ID}
	if version != 0 {
		text, args = t.update, append(args, int64(version))
	}
	got, ok, err := s.returning(ctx, 2, text, args...)
	if !ok || err != nil {
		return false, err
	}
	if s.d.kind == sql.MySQL {
		got = [2]int64{int64(version) + 1, got[0]}
	}
	r.Version, r.Created = uint64(got[0]), time.UnixMicro(got[1]).UTC()
	return true, nil
}

// put writes a record in a transaction. It returns the version that was there,
// 0 for none.
func (s *session) put(ctx context.Context, t *table, r *db.Record, e encoded, c db.Condition) (old uint64, err error) {
	if c.Must == db.NotExist {
		return 0, s.create(ctx, t, r, e)
	}
	found, err := s.look(ctx, t, r.ID)
	switch {
	case err != nil:
		return 0, err
	case found == nil && c.Must == db.Exist:
		return 0, fault.NotFound
	case found == nil:
		err := s.create(ctx, t, r, e)
		if fault.KindOf(err) == fault.Exists { // another made it since we looked
			return 0, dbdriver.ErrSerialization
		}
		return 0, err
	case c.Must == db.Exist && c.Version != 0 && c.Version != found.version:
		return found.version, dbvalue.Conflict(found.version, c.Version)
	}
	if _, err := s.exec(ctx, t.replace, int64(found.version+1), r.Updated.UnixMicro(), e.metadata, e.sortable, int64(e.lists), r.ContentType, data(r), r.ID); err != nil {
		return found.version, err
	}
	if found.lists > 0 {
		if _, err := s.exec(ctx, t.forget, r.ID); err != nil {
			return found.version, err
		}
	}
	r.Version, r.Created = found.version+1, found.created
	return found.version, s.putLists(ctx, t, r, e)
}

// maxListRows is how many rows of lists one statement adds: PostgreSQL takes
// 65535 arguments, SQLite 32766.
const maxListRows = 1000

func (s *session) putLists(ctx context.Context, t *table, r *db.Record, e encoded) error {
	if e.lists == 0 {
		return nil
	}
	args, n := listRows(r)
	for ; n > 0; n -= maxListRows {
		rows := min(n, maxListRows)
		if _, err := s.exec(ctx, t.insertLists(s.d.kind, rows), args[:3*rows]...); err != nil {
			return err
		}
		args = args[3*rows:]
	}
	return nil
}

func (d *driver) Delete(ctx context.Context, name, id string, version uint64) error {
	t, err := d.writable(name)
	if err != nil {
		return err
	}
	text, args := t.remove, []any{id, t.name}
	if version != 0 {
		text, args = t.removeIf, append(args, int64(version))
	}
	var n int64
	err = d.single(ctx, func(s *session) (err error) { n, err = s.exec(ctx, text, args...); return err })
	if n > 0 || err != nil {
		return err
	}
	return d.do(ctx, []string{t.look, t.raise, t.drop, t.forget}, func(s *session) error {
		_, err := s.remove(ctx, t, id, version)
		return err
	})
}

// remove deletes a record in a transaction, after the version that new records
// are above is no less than the record's.
func (s *session) remove(ctx context.Context, t *table, id string, version uint64) (old uint64, err error) {
	found, err := s.look(ctx, t, id)
	switch {
	case err != nil:
		return 0, err
	case found == nil:
		return 0, fault.NotFound
	case version != 0 && version != found.version:
		return found.version, dbvalue.Conflict(found.version, version)
	}
	if _, err := s.exec(ctx, t.raise, int64(found.version), t.name, int64(found.version)); err != nil {
		return 0, err
	}
	if found.lists > 0 {
		if _, err := s.exec(ctx, t.forget, id); err != nil {
			return 0, err
		}
	}
	_, err = s.exec(ctx, t.drop, id)
	return found.version, err
}

// found is what a write has to know of the record that is there.
type found struct {
	version uint64
	created time.Time
	lists   int64
}

// look returns what is there, or nil, and keeps others from changing it.
func (s *session) look(ctx context.Context, t *table, id string) (*found, error) {
	rows, err := s.query(ctx, t.look, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	var version, created, lists int64
	if err := rows.Scan(&version, &created, &lists); err != nil {
		return nil, err
	}
	return &found{version: uint64(version), created: time.UnixMicro(created).UTC(), lists: lists}, rows.Err()
}
