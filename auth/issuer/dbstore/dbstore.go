// Package dbstore keeps an issuer's state in a table of a db.DB: several
// issuers that share one database are one issuer.
//
//	state, err := dbstore.New(ctx, database)
//	is, err := issuer.New(issuer.WithStore(state), …)
//
// # Backends
//
// Any db.DB that finds records by the beginning of a value and sees its own
// writes at once.
//
// # Semantics
//
// Records that have ended are treated as gone and removed by Sweep, which Put
// calls now and then.
//
// # Errors, Closing
//
// Those of the db.DB, which stays open; New also has auth.ErrInvalid and
// auth.ErrUnsupported.
package dbstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Store is an issuer.Store in a table.
type Store struct {
	table  db.Table
	writes atomic.Int64
}

// New returns a Store in the table "issuer", which is made if it is missing.
// auth.ErrUnsupported if the database can't keep an issuer's state.
func New(ctx context.Context, d db.DB) (*Store, error) {
	if fronts.Nil(d) {
		return nil, fault.New(auth.ErrInvalid, "auth/issuer/dbstore", "new", "", "nil database")
	}
	if f := d.Features(); !f.Prefix || !f.Immediate {
		return nil, fault.New(auth.ErrUnsupported, "auth/issuer/dbstore", "new", "", "an issuer needs a database that searches by prefix and sees its writes at once")
	}
	t, err := d.Table(ctx, "issuer", db.Index("key"), db.Index("expires"))
	if err != nil {
		return nil, err
	}
	return &Store{table: t}, nil
}

// id is the record's: keys may be longer than ids.
func id(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func ended(r *db.Record) bool {
	end, ok := r.Metadata["expires"].(time.Time)
	return ok && !time.Now().Before(end)
}

// Get implements issuer.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	r, err := s.table.Read(ctx, id(key))
	if errors.Is(err, db.ErrNotFound) {
		return nil, 0, fault.Mark(issuer.ErrNotFound, err)
	}
	if err != nil {
		return nil, 0, err
	}
	if ended(r) {
		return nil, 0, issuer.ErrNotFound
	}
	return r.Data, r.Version, nil
}

// Put implements issuer.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte, version uint64, ttl time.Duration) error {
	r := &db.Record{ID: id(key), Version: version, Data: value, ContentType: "application/json", Metadata: map[string]any{"key": key}}
	if ttl > 0 {
		r.Metadata["expires"] = time.Now().Add(ttl)
	}
	if s.writes.Add(1)%1000 == 0 {
		s.Sweep(ctx) // what it misses the next one finds
	}
	if version > 0 {
		return conflict(s.table.Update(ctx, r))
	}
	err := s.table.Create(ctx, r)
	if !errors.Is(err, db.ErrExists) {
		return err
	}
	old, err2 := s.table.Read(ctx, r.ID)
	if err2 != nil || !ended(old) {
		return conflict(errors.Join(err, err2))
	}
	r.Version = old.Version
	return conflict(s.table.Update(ctx, r))
}

// conflict says ErrConflict where somebody else was faster.
func conflict(err error) error {
	if errors.Is(err, db.ErrExists) || errors.Is(err, db.ErrNotFound) || errors.Is(err, db.ErrConflict) {
		return fault.Mark(issuer.ErrConflict, err)
	}
	return err
}

// Delete implements issuer.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := s.table.Delete(ctx, id(key))
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	return err
}

// List implements issuer.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for r, err := range s.table.All(ctx, db.Where(db.Prefix("key", prefix))) {
			if err != nil {
				yield("", err)
				return
			}
			if key, ok := r.Metadata["key"].(string); ok && !ended(r) && !yield(key, nil) {
				return
			}
		}
	}
}

// Sweep removes the records that have ended.
func (s *Store) Sweep(ctx context.Context) error {
	for r, err := range s.table.All(ctx, db.Where(db.Less("expires", time.Now()))) {
		if err != nil {
			return err
		}
		err = s.table.Delete(ctx, r.ID, db.IfVersion(r.Version))
		if err != nil && !errors.Is(err, db.ErrConflict) && !errors.Is(err, db.ErrNotFound) {
			return err
		}
	}
	return nil
}
