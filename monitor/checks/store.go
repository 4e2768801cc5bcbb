package checks

import (
	"context"
	"errors"

	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
)

// SQL pings a database: a *sql.DB, *sql.Conn or whatever else has PingContext.
func SQL(db interface{ PingContext(context.Context) error }) Func {
	return func(ctx context.Context) error {
		if fronts.Nil(db) {
			return errors.New("nil database")
		}
		return db.PingContext(ctx)
	}
}

// KV reads a key. It need not be there: what counts is that the store answers.
func KV(store kv.KV, key string) Func {
	return func(ctx context.Context) error {
		if fronts.Nil(store) {
			return errors.New("nil store")
		}
		_, err := store.Get(ctx, key)
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		return err
	}
}
