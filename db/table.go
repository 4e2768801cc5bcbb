package db

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"iter"
	"time"

	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fronts"
)

// table is one table, in or outside of a transaction.
type table struct {
	f    *front
	ops  operations
	tx   *txDB // nil outside
	name string
	spec TableSpec

	within *fronts.Limit // of the call of several steps that this is for, or nil
}

func (t *table) Name() string { return t.name }

// subject is what an error is about: a record, or the table. An id that can't be is
// not repeated: it may be of any length.
func (t *table) subject(id string) string {
	if checkID(id) != nil {
		return t.name
	}
	return t.name + "/" + id
}

func (t *table) wrap(op, id string, err error) error {
	if t.tx != nil && t.tx.conflict == nil && errors.Is(err, dbvalue.ErrSerialization) {
		t.tx.conflict = err
	}
	if err == nil {
		return nil
	}
	return t.f.wrap(op, t.subject(id), err)
}

// enter begins a call; in a transaction Tx has begun it.
func (t *table) enter(ctx context.Context) (context.Context, begun, error) {
	if t.tx == nil {
		c, call, err := t.f.enter(ctx)
		if t.within != nil {
			call.Limit = *t.within
			err = call.Late(ctx, err) // it may have ended between two steps
		}
		return c, call, err
	}
	if t.tx.ended.Load() {
		return nil, begun{}, errEnded
	}
	return ctx, begun{t.tx.limit, func() {}}, t.tx.limit.Late(ctx, ctx.Err())
}

// call does f as one call of an operation: with a deadline, and its error wrapped.
func (t *table) call(ctx context.Context, op, id string, f func(ctx context.Context) error) error {
	ctx, call, err := t.enter(ctx)
	if err == nil {
		defer call.end()
		err = call.Late(ctx, f(ctx))
	}
	return t.wrap(op, id, err)
}

func (t *table) Create(ctx context.Context, r *Record) error {
	return t.put(ctx, "create", r, nil)
}

func (t *table) Update(ctx context.Context, r *Record, opts ...WriteOption) error {
	return t.put(ctx, "update", r, opts)
}

// noVersion is a version that no record reaches. It fits the signed integers
// of databases.
const noVersion = 1<<63 - 1

// prepare checks a Create or an Update of r, and returns the copy to write and
// its condition.
func (t *table) prepare(op string, r *Record, opts []WriteOption) (*Record, Condition, error) {
	if r == nil {
		return nil, Condition{}, invalidf("nil record")
	}
	o, err := newWriteOptions(opts)
	if err == nil && o.version != 0 {
		err = invalidf("IfVersion with Update: the record has the version")
	}
	if err == nil && o.purge {
		err = invalidf("Purge is for Delete")
	}
	if err != nil {
		return nil, Condition{}, err
	}
	c := r.Clone()
	cond := Condition{Must: Exist, Version: r.Version}
	switch {
	case op == "create":
		cond = Condition{Must: NotExist}
		if c.ID == "" {
			c.ID = NewID()
		}
	case o.force:
		cond.Version = 0
	case o.upsert:
		cond = Condition{Must: Either}
	case r.Version == 0:
		cond.Version = noVersion // which no record has: NotFound or Conflict
	}
	if err := c.normalize(t.f.o.maxBytes); err != nil {
		return nil, Condition{}, err
	}
	c.Updated = timestamp(time.Now())
	c.Created, c.Version, c.Deleted = c.Updated, 1, time.Time{}
	c.Expires, err = t.spec.expiry(c, op)
	if err != nil {
		return nil, Condition{}, err
	}
	if cond.Version != 0 {
		c.Version = cond.Version + 1
	}
	return c, cond, nil
}

// stored tells the caller's record what was stored.
func (r *Record) stored(c *Record) {
	r.ID, r.Version, r.Created, r.Updated, r.Expires = c.ID, c.Version, c.Created, c.Updated, c.Expires
}

// put writes a copy of r.
func (t *table) put(ctx context.Context, op string, r *Record, opts []WriteOption) error {
	if t.tells() && r != nil {
		var c *Record
		err := t.inTx(ctx, op, r.ID, func(ctx context.Context, x *table) error {
			c = r.Clone()
			return x.put(ctx, op, c, opts)
		})
		if err == nil {
			r.stored(c)
		}
		return err
	}
	c, cond, err := t.prepare(op, r, opts)
	if err != nil {
		return t.wrap(op, idOf(r), err)
	}
	err = t.call(ctx, op, c.ID, func(ctx context.Context) error { return t.store(ctx, c, cond) })
	if err == nil {
		r.stored(c)
	}
	return err
}

func idOf(r *Record) string {
	if r == nil {
		return ""
	}
	return r.ID
}

func (t *table) Read(ctx context.Context, id string) (r *Record, err error) {
	if err := checkID(id); err != nil {
		return nil, t.wrap("read", "", err)
	}
	err = t.call(ctx, "read", id, func(ctx context.Context) (err error) { r, err = t.get(ctx, id); return err })
	return r, err
}

func (t *table) Delete(ctx context.Context, id string, opts ...WriteOption) error {
	if t.tells() || t.spec.soft && t.tx == nil && t.f.features.Transactions {
		return t.inTx(ctx, "delete", id, func(ctx context.Context, x *table) error { return x.Delete(ctx, id, opts...) })
	}
	version, purge, err := prepareDelete(id, opts)
	if err != nil {
		return t.wrap("delete", id, err)
	}
	return t.call(ctx, "delete", id, func(ctx context.Context) error {
		if purge {
			return t.purge(ctx, id, version)
		}
		return t.remove(ctx, id, version, false)
	})
}

// prepareDelete checks a Delete, and returns the version that the record must
// have, 0 for any, and whether nothing is to be kept of it.
func prepareDelete(id string, opts []WriteOption) (version uint64, purge bool, err error) {
	o, err := newWriteOptions(opts)
	if err == nil && (o.force || o.upsert) {
		err = invalidf("Force and Upsert are for Update")
	}
	if err == nil {
		err = checkID(id)
	}
	return o.version, o.purge, err
}

func (t *table) Search(ctx context.Context, opts ...SearchOption) (Page, error) {
	q, err := t.newQuery(opts)
	if err != nil {
		return Page{}, t.wrap("search", "", err)
	}
	return t.search(ctx, q)
}

func (t *table) search(ctx context.Context, q Query) (Page, error) {
	limit := q.Limit
	q.Limit++ // one more tells whether there is a next page
	var rs []*Record
	err := t.call(ctx, "search", "", func(ctx context.Context) (err error) { rs, err = t.query(ctx, q); return err })
	if err != nil {
		return Page{}, err
	}
	p := Page{Records: rs}
	if len(rs) > limit {
		p.Records = rs[:limit]
		p.Next = t.cursor(q, rs[limit-1])
	}
	if q.NoData {
		for _, r := range p.Records {
			r.only(q.keys)
		}
	}
	return p, nil
}

func (t *table) All(ctx context.Context, opts ...SearchOption) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		q, err := t.newQuery(opts)
		if err != nil {
			yield(nil, t.wrap("search", "", err))
			return
		}
		for {
			p, err := t.search(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range p.Records {
				if !yield(r, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			q.After, err = t.readCursor(p.Next, q)
			if err != nil {
				yield(nil, t.wrap("search", "", err))
				return
			}
		}
	}
}

func (t *table) Count(ctx context.Context, opts ...SearchOption) (n int64, err error) {
	q, err := t.newQuery(opts)
	if err == nil && !t.f.features.Count {
		err = unsupportedf("count")
	}
	if err != nil {
		return 0, t.wrap("count", "", err)
	}
	err = t.call(ctx, "count", "", func(ctx context.Context) (err error) { n, err = t.count(ctx, q); return err })
	return n, err
}

// NewID returns a new UUIDv7 (RFC 9562). Ids made later sort later, to the
// millisecond.
func NewID() string {
	var u [16]byte
	rand.Read(u[:])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(u[:6], ms[2:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:8], u[:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:], u[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
