package sql

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// patiently returns what connects to SQLite's file. Who turns its log on keeps others out for a
// moment, whom SQLite tells so without waiting: they connect again.
func patiently(dsn string) (driver.Connector, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close() // it has connected to nothing
	return patient{db.Driver(), dsn}, nil
}

type patient struct {
	driver driver.Driver
	dsn    string
}

// Connect implements driver.Connector.
func (p patient) Connect(ctx context.Context) (c driver.Conn, err error) {
	err = Retry(ctx, func() error { c, err = p.driver.Open(p.dsn); return err })
	return c, err
}

// Driver implements driver.Connector.
func (p patient) Driver() driver.Driver { return p.driver }
