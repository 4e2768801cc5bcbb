package sql

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
)

// Tables makes the tables of a backend that are missing, once, and again after
// they were lost.
type Tables struct {
	DB *DB
	// There returns nil if all is there, so that who only uses it needs no right to
	// make it, and else a missing table's error, or sql.ErrNoRows.
	There func(ctx context.Context) error
	// Statements make what is missing; they may use the words of Kind.Schema and
	// NOW. The last one does all or nothing, so that what it writes says that all is
	// there.
	Statements []string

	made   atomic.Bool
	making mutex.Mutex
}

// Make makes what is missing. It is cheap once that was done.
func (t *Tables) Make(ctx context.Context) error {
	if t.made.Load() {
		return nil
	}
	err := t.making.Lock(ctx)
	if err != nil {
		return err
	}
	defer t.making.Unlock()
	if t.made.Load() {
		return nil
	}
	err = t.There(ctx)
	if err == nil {
		t.made.Store(true)
		return nil
	}
	if !lacking(err) {
		return err
	}
	for _, s := range t.Statements {
		_, err := t.DB.ExecContext(ctx, t.DB.Kind.Text(t.DB.Kind.Schema(s)))
		if err != nil && !IsThere(err) && !IsDuplicate(err) {
			return WriteError(err)
		}
	}
	t.made.Store(true)
	return nil
}

// Lost reports whether err says that the tables are not there, as after a loss
// of data. The next Make makes them.
func (t *Tables) Lost(err error) bool {
	if !lacking(err) {
		return false
	}
	t.made.Store(false)
	return true
}

// ReadError gives the error of a statement that changes nothing its kind. That
// of tables that are not there is Unavailable: the next call makes them.
func (t *Tables) ReadError(err error) error {
	if t.Lost(err) {
		return fault.Mark(fault.Unavailable, err)
	}
	return ReadError(err)
}

func lacking(err error) bool { return IsMissing(err) || errors.Is(err, sql.ErrNoRows) }
