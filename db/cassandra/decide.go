package cassandra

import (
	"context"
	"errors"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// A lightweight transaction may end without an outcome: its answer was lost, or the nodes
// that hold the row ran out of time. A serial read has them complete what they have begun,
// or give it up, and what it finds tells the rest:
//
//	our stamp                         it was applied
//	the stamp it was to replace       it was not, and is made again: it is the same one if it is late
//	another, of the next version      it was not and never will be
//	no row, or another                it was if the entries of our stamp are gone, which only somebody
//	                                  removes who has seen it in the row
//	                                  else a new row is made again, if there is none
//	                                  else nobody knows

// decision is a lightweight transaction on the row of an id.
type decision struct {
	t     *table
	id    string
	stamp gocql.UUID // that it writes; the zero one: it removes the row
	old   *row       // that it replaces; nil: none is there
	text  string
	args  []any
}

// is reports whether a row with the stamp is what x writes.
func (x decision) is(stamp gocql.UUID) bool { return stamp == x.stamp && stamp != gocql.UUID{} }

// decide makes a lightweight transaction, until its outcome is certain or ctx ends.
func (d *driver) decide(ctx context.Context, x decision) (applied bool, err error) {
	applied, stored, err := d.cas(ctx, x.text, x.args...)
	if err == nil {
		stamp, _ := stored["stamp"].(gocql.UUID)
		return applied || x.is(stamp), nil // of an attempt that the server made twice the second is refused
	}
	if !errors.Is(err, fault.UnknownOutcome) {
		return false, err
	}
	for n := 0; ; n++ {
		if backoff.Sleep(ctx, again.Wait(n)) != nil {
			return false, err
		}
		f, e := d.fate(ctx, x)
		if e != nil {
			continue
		}
		switch f {
		case landed:
			return true, nil
		case never:
			return false, nil
		case unsure:
			return false, err
		}
		applied, _, e = d.cas(ctx, x.text, x.args...)
		if e == nil && applied {
			return true, nil
		}
	}
}

// fate is what became of a lightweight transaction.
type fate int

const (
	notYet fate = iota // applied
	landed
	never // will be applied
	unsure
)

func (d *driver) fate(ctx context.Context, x decision) (fate, error) {
	stamp, version, err := d.serial(ctx, x.t, x.id)
	gone := stamp == gocql.UUID{}
	switch {
	case err != nil:
		return unsure, err
	case x.is(stamp):
		return landed, nil
	case x.old != nil && stamp == x.old.stamp:
		return notYet, nil
	case x.old != nil && version == x.old.Version+1:
		return never, nil
	case x.stamp == gocql.UUID{}: // of a deletion
		return unsure, nil
	}
	there, err := d.entered(ctx, x)
	switch {
	case err != nil:
		return unsure, err
	case !there:
		return landed, nil
	case x.old == nil && gone:
		return notYet, nil
	}
	return unsure, nil
}

// entered reports whether the stamp of x is in the index.
func (d *driver) entered(ctx context.Context, x decision) (bool, error) {
	q, err := d.query(ctx, x.t.entered, ids, x.t.bucket(x.id), []byte{}, []byte(x.id), x.stamp)
	if err != nil {
		return false, err
	}
	var stamp gocql.UUID
	err = q.ScanContext(ctx, &stamp)
	if errors.Is(err, gocql.ErrNotFound) {
		return false, nil
	}
	return true, err
}

// cas makes a lightweight transaction once. It reports whether it was applied, and if
// not, what is there.
func (d *driver) cas(ctx context.Context, text string, args ...any) (applied bool, stored map[string]any, err error) {
	s, err := d.sessions.get(ctx)
	if err != nil {
		return false, nil, err
	}
	stored = map[string]any{}
	q := s.Query(text, args...).Consistency(d.c.consistency).SerialConsistency(d.c.serial()).Idempotent(false).RetryPolicy(nil)
	applied, err = q.MapScanCASContext(ctx, stored)
	return applied, stored, writeError(err)
}

// serial reads the stamp and the version of a row, the zero ones if there is none, after
// the transactions in progress have ended.
func (d *driver) serial(ctx context.Context, t *table, id string) (stamp gocql.UUID, version uint64, err error) {
	q, err := d.query(ctx, t.stamp, id)
	if err != nil {
		return stamp, 0, err
	}
	var v int64
	err = q.Consistency(d.c.serial()).ScanContext(ctx, &stamp, &v)
	if errors.Is(err, gocql.ErrNotFound) {
		return gocql.UUID{}, 0, nil
	}
	return stamp, uint64(v), err
}
