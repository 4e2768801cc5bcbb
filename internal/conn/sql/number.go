package sql

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// errIndirect says that a statement has to go through database/sql.
var errIndirect = errors.New("not asked")

// Number runs a statement that returns one number. PostgreSQL's client is asked
// directly: of rows under a context that can end, database/sql starts a goroutine, and
// waits for it, which is a fifth of the time that a lone INSERT takes.
func (d *DB) Number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = errIndirect
	if d.Kind == Postgres {
		err = d.direct(ctx, &n, text, args)
	}
	if errors.Is(err, errIndirect) || errors.Is(err, sqldriver.ErrBadConn) { // nothing was done
		err = d.QueryRowContext(ctx, text, args...).Scan(&n)
	}
	return n, err
}

func (d *DB) direct(ctx context.Context, n *int64, text string, args []any) error {
	c, err := d.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Raw(func(raw any) error {
		own, ok := raw.(*stdlib.Conn)
		if !ok {
			return errIndirect // the user's own client
		}
		if own.Conn().IsClosed() {
			return sqldriver.ErrBadConn
		}
		err := own.Conn().QueryRow(ctx, text, args...).Scan(n)
		if pgconn.SafeToRetry(err) { // as the client's driver for database/sql has it
			return sqldriver.ErrBadConn
		}
		return err
	})
}
