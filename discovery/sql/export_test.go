package sql

import (
	"context"

	"github.com/micro/go-platform/internal/conn/sql"
)

// CleanOld removes old rows from a SQLite file now.
func CleanOld(ctx context.Context, file string) error {
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: file})
	if err != nil {
		return err
	}
	d := newDriver(db)
	defer d.Close()
	return d.cleanOld(ctx)
}
