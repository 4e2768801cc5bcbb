package cassandra

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// A row has a stamp, which every write renews, and the entries of the row
// have it too. So no writer ever removes entries but those of a version that it
// knows to be gone, however writes run into each other:
//
//	1. write the entries of the new stamp
//	2. write the row, if it still has the stamp that was read
//	3. remove the entries of the old stamp, or of the new one if 2 was refused
//
// What fails in between leaves entries that no row has.

// row is a record as it is stored.
type row struct {
	db.Record
	stamp gocql.UUID
}

// entry is one place of a record in the index.
type entry struct {
	key string
	v   []byte // what dbdriver.SortKey returns
}

// ids is the key under which every record is.
const ids = db.FieldID

func entriesOf(metadata map[string]any) []entry {
	es := []entry{{ids, []byte{}}}
	for k, v := range metadata {
		es = append(es, entry{k, append([]byte{}, dbdriver.SortKey(v)...)})
	}
	return es
}

// bucket is the part of an index that a record is in.
func (t *table) bucket(id string) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() % uint32(t.buckets))
}

// made is when a stamp was made, by its maker's clock.
func made(stamp gocql.UUID) time.Time {
	var ms int64
	for _, b := range stamp[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms)
}

// enter writes the entries of a stamp. Their time is the stamp's, and that of
// their removal the moment after, whatever the clock of who removes them says.
func (d *driver) enter(ctx context.Context, t *table, id string, stamp gocql.UUID, es []entry) error {
	return parallel(ctx, len(es), func(ctx context.Context, i int) error {
		q, err := d.query(ctx, t.enter, es[i].key, t.bucket(id), es[i].v, []byte(id), stamp)
		if err != nil {
			return err
		}
		return readError(q.WithTimestamp(made(stamp).UnixMicro()).ExecContext(ctx))
	})
}

// leave removes the entries of a stamp that no row has any more. That it fails
// does no harm.
func (d *driver) leave(ctx context.Context, t *table, id string, stamp gocql.UUID, es []entry) {
	err := parallel(ctx, len(es), func(ctx context.Context, i int) error {
		q, err := d.query(ctx, t.leave, es[i].key, t.bucket(id), es[i].v, []byte(id), stamp)
		if err != nil {
			return err
		}
		return q.WithTimestamp(made(stamp).UnixMicro() + 1).Consistency(gocql.LocalOne).ExecContext(ctx)
	})
	if err != nil {
		d.c.log.Debug("cassandra: entries without a record stay", "id", id, "error", err)
	}
}

// look returns a row without its data, or nil.
func (d *driver) look(ctx context.Context, t *table, id string) (*row, error) {
	r, err := d.read(ctx, t, t.look, id)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	return r, err
}

var again = backoff.Policy{Min: 2 * time.Millisecond, Max: 200 * time.Millisecond}

func (d *driver) Put(ctx context.Context, name string, r *db.Record, c db.Condition) error {
	t, err := d.table(name)
	if err != nil {
		return err
	}
	md, err := dbdriver.EncodeMetadata(r.Metadata)
	if err != nil {
		return fault.Mark(fault.Invalid, err)
	}
	return d.change(ctx, t, r.ID, c, func(old *row) (bool, error) { return d.put(ctx, t, r, string(md), old) })
}

// change has write write over the row that is there, if the condition holds: again
// when another was faster.
func (d *driver) change(ctx context.Context, t *table, id string, c db.Condition, write func(old *row) (bool, error)) error {
	look := func() (*row, error) {
		if c.Must == db.NotExist {
			return nil, nil
		}
		old, err := d.look(ctx, t, id)
		switch {
		case err != nil:
			return nil, err
		case old == nil && c.Must == db.Exist:
			return nil, fault.NotFound
		case old != nil && c.Must == db.Exist && c.Version != 0 && c.Version != old.Version:
			return nil, dbvalue.Conflict(old.Version, c.Version)
		}
		return old, nil
	}
	tn := d.turns.join(t, id)
	defer d.turns.leave(tn)
	for n := 0; ; n++ {
		applied, err := tn.replace(ctx, c.Version, look, write)
		if err != nil || applied {
			return err
		}
		if c.Must == db.NotExist {
			return fault.Exists
		}
		if err := backoff.Sleep(ctx, again.Wait(n)); err != nil {
			return busy(err)
		}
	}
}

// put writes r over old, or where nothing is if old is nil. It reports false
// if something else is there by now.
func (d *driver) put(ctx context.Context, t *table, r *db.Record, md string, old *row) (bool, error) {
	stamp, err := gocql.ParseUUID(db.NewID())
	if err != nil {
		return false, err
	}
	es := entriesOf(r.Metadata)
	if err := d.enter(ctx, t, r.ID, stamp, es); err != nil {
		d.leave(ctx, t, r.ID, stamp, es)
		return false, err
	}
	// Nothing is left of a record that was deleted; so a new one's versions begin
	// with the time, which no record before it has reached by updates.
	version, created := uint64(time.Now().UnixMicro()), r.Created
	var applied bool
	if old == nil {
		args := []any{r.ID, stamp, int64(version), created.UnixMicro(), r.Updated.UnixMicro(), md, r.ContentType, r.Data}
		applied, err = d.decide(ctx, decision{t: t, id: r.ID, stamp: stamp, text: t.insert, args: args})
	} else {
		version, created = old.Version+1, old.Created
		args := []any{stamp, int64(version), r.Updated.UnixMicro(), md, r.ContentType, r.Data, r.ID, old.stamp}
		applied, err = d.decide(ctx, decision{t: t, id: r.ID, stamp: stamp, old: old, text: t.update, args: args})
	}
	switch {
	case err != nil:
		if !errors.Is(err, fault.UnknownOutcome) {
			d.leave(ctx, t, r.ID, stamp, es)
		}
		return false, err
	case !applied:
		d.leave(ctx, t, r.ID, stamp, es)
		return false, nil
	}
	r.Version, r.Created = version, created
	if old != nil {
		d.leave(ctx, t, r.ID, old.stamp, entriesOf(old.Metadata))
	}
	return true, nil
}

func (d *driver) Delete(ctx context.Context, name, id string, version uint64) error {
	t, err := d.table(name)
	if err != nil {
		return err
	}
	return d.change(ctx, t, id, db.Condition{Must: db.Exist, Version: version}, func(old *row) (bool, error) {
		applied, err := d.decide(ctx, decision{t: t, id: id, old: old, text: t.remove, args: []any{id, old.stamp}})
		if applied {
			d.leave(ctx, t, id, old.stamp, entriesOf(old.Metadata))
		}
		return applied, err
	})
}

// read runs one of the statements that return a row.
func (d *driver) read(ctx context.Context, t *table, text, id string) (*row, error) {
	r := &row{}
	var version, created, updated int64
	var md []byte
	to := []any{&r.ID, &r.stamp, &version, &created, &updated, &md, &r.ContentType, &r.Data}
	if text == t.look {
		to = to[:len(to)-1]
	}
	switch err := d.scan(ctx, to, text, id); {
	case errors.Is(err, gocql.ErrNotFound):
		return nil, fault.NotFound
	case err != nil:
		return nil, readError(err)
	}
	var err error
	r.Metadata, err = dbdriver.DecodeMetadata(md)
	if err != nil {
		return nil, err
	}
	r.Version, r.Created, r.Updated = uint64(version), time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return r, nil
}
