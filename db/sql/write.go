package sql

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// Values of keys are what db.SortKey returns, whose first byte is the type. A
// list has a row of its own kind that says it is there, and one for each
// element.
const (
	listThere   = 'y'
	listElement = 'z'
)

// keyRows returns the arguments of insertKeys for a record, and how many rows
// they are.
func keyRows(r *db.Record) (args []any, n int) {
	if len(r.Metadata) == 0 {
		return nil, 0
	}
	args = make([]any, 0, 3*len(r.Metadata))
	add := func(k, v []byte) { args = append(args, r.ID, k, v); n++ }
	for _, key := range slices.Sorted(maps.Keys(r.Metadata)) {
		k := []byte(key)
		l, ok := r.Metadata[key].([]string)
		if !ok {
			add(k, db.SortKey(r.Metadata[key]))
			continue
		}
		add(k, []byte{listThere})
		for i, s := range l {
			if !slices.Contains(l[:i], s) {
				add(k, append([]byte{listElement}, s...))
			}
		}
	}
	return args, n
}

func (d *driver) Put(ctx context.Context, name string, r *db.Record, c db.Condition) error {
	md, err := db.EncodeMetadata(r.Metadata)
	if err != nil {
		return fault.Mark(fault.Invalid, err)
	}
	t := d.table(name)
	var used []string
	if d.write.keep { // before the transaction has the only connection
		used = []string{t.look, t.update, t.floor, t.insert}
		if c.Must == db.NotExist {
			used = []string{t.floor, t.insert}
		}
		if n := len(r.Metadata); n > 0 {
			used = append(used, t.insertKeys(d.kind, n))
		}
	}
	return d.do(ctx, used, func(s *session) error { _, err := s.put(ctx, t, r, md, c); return err })
}

// put writes a record. It returns the version that was there, 0 for none.
func (s *session) put(ctx context.Context, t *table, r *db.Record, md []byte, c db.Condition) (old uint64, err error) {
	if c.Must != db.NotExist {
		found, oldMD, err := s.look(ctx, t, r.ID)
		switch {
		case err != nil:
			return 0, err
		case found != nil:
			if c.Must == db.Exist && c.Version != 0 && c.Version != found.Version {
				return found.Version, conflict(found.Version, c.Version)
			}
			return found.Version, s.replace(ctx, t, r, found, md, oldMD)
		case c.Must == db.Exist:
			return 0, fault.NotFound
		}
	}
	return 0, s.create(ctx, t, r, md, c)
}

func conflict(stored, wanted uint64) error {
	return fault.Markf(fault.Conflict, "version %d is stored, not %d", stored, wanted)
}

func (s *session) create(ctx context.Context, t *table, r *db.Record, md []byte, c db.Condition) error {
	floor, err := s.floor(ctx, t)
	if err != nil {
		return err
	}
	n, err := s.exec(ctx, t.insert, r.ID, floor+1, r.Created.UnixMicro(), r.Updated.UnixMicro(), string(md), r.ContentType, data(r))
	if sql.IsDuplicate(err) || err == nil && n == 0 {
		if c.Must == db.Either { // another made it since we looked
			return db.ErrSerialization
		}
		return fault.Exists
	}
	if err != nil {
		return err
	}
	r.Version = uint64(floor + 1)
	return s.putKeys(ctx, t, r)
}

// floor is the version that new records are above: no deleted one had a higher.
func (s *session) floor(ctx context.Context, t *table) (n int64, err error) {
	rows, err := s.query(ctx, t.floor, t.name)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if !rows.Next() {
		return 0, cmp.Or(rows.Err(), fault.Markf(fault.Invalid, "the table is gone from the catalog; Table makes it again"))
	}
	return n, cmp.Or(rows.Scan(&n), rows.Close())
}

// replace writes r over the record that was found.
func (s *session) replace(ctx context.Context, t *table, r, found *db.Record, md, oldMD []byte) error {
	version := found.Version + 1
	if _, err := s.exec(ctx, t.update, int64(version), r.Updated.UnixMicro(), string(md), r.ContentType, data(r), r.ID); err != nil {
		return err
	}
	if !bytes.Equal(md, oldMD) {
		if _, err := s.exec(ctx, t.forget, r.ID); err != nil {
			return err
		}
		if err := s.putKeys(ctx, t, r); err != nil {
			return err
		}
	}
	r.Version, r.Created = version, found.Created
	return nil
}

func (s *session) putKeys(ctx context.Context, t *table, r *db.Record) error {
	args, n := keyRows(r)
	if n == 0 {
		return nil
	}
	_, err := s.exec(ctx, t.insertKeys(s.d.kind, n), args...)
	return err
}

// data is nil for no bytes, which the clients of the databases agree on.
func data(r *db.Record) any {
	if len(r.Data) == 0 {
		return nil
	}
	return r.Data
}

func (d *driver) Delete(ctx context.Context, name, id string, version uint64) error {
	t := d.table(name)
	return d.do(ctx, []string{t.look, t.raise, t.remove, t.forget}, func(s *session) error {
		_, err := s.remove(ctx, t, id, version)
		return err
	})
}

func (s *session) remove(ctx context.Context, t *table, id string, version uint64) (old uint64, err error) {
	found, md, err := s.look(ctx, t, id)
	switch {
	case err != nil:
		return 0, err
	case found == nil:
		return 0, fault.NotFound
	case version != 0 && version != found.Version:
		return found.Version, conflict(found.Version, version)
	}
	if _, err := s.exec(ctx, t.raise, int64(found.Version), t.name, int64(found.Version)); err != nil {
		return 0, err
	}
	if len(md) > len("{}") {
		if _, err := s.exec(ctx, t.forget, id); err != nil {
			return 0, err
		}
	}
	_, err = s.exec(ctx, t.remove, id)
	return found.Version, err
}

// look returns version, time of creation and metadata of a record, and keeps
// others from changing it. nil: there is none.
func (s *session) look(ctx context.Context, t *table, id string) (*db.Record, []byte, error) {
	rows, err := s.query(ctx, t.look, id)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, nil, rows.Err()
	}
	var version, created int64
	var md []byte
	if err := rows.Scan(&version, &created, &md); err != nil {
		return nil, nil, err
	}
	return &db.Record{ID: id, Version: uint64(version), Created: time.UnixMicro(created).UTC()}, md, rows.Err()
}
