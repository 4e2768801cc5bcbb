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
//	anything else                     nobody knows: ours may have been, and another after it

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

// before returns the stamp that x replaces.
func (x decision) before() gocql.UUID {
	if x.old == nil {
		return gocql.UUID{}
	}
	return x.old.stamp
}

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
		stamp, version, e := d.serial(ctx, x.t, x.id)
		switch {
		case e != nil:
			continue
		case x.is(stamp):
			return true, nil
		case stamp == x.before():
			applied, _, e = d.cas(ctx, x.text, x.args...)
			if e == nil && applied {
				return true, nil
			}
		case x.old != nil && version == x.old.Version+1:
			return false, nil
		default:
			return false, err
		}
	}
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
