package sql

import (
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// At is what opens an engine of a backend's own: the database of a kind at an
// address in its own form. abandoned is Config.AbandonedTx.
func At(kind Kind, addr string, abandoned time.Duration) func() (*DB, error) {
	return func() (*DB, error) { return Open(Config{Kind: kind, Address: addr, AbandonedTx: abandoned}) }
}

// Schemes are those of ByScheme.
var Schemes = []string{"postgres", "postgresql", "mysql", "mariadb", "sqlite"}

// ByScheme returns the dialect that the scheme of a URL names, and the address in
// the dialect's own form: the URL itself, for SQLite the name of the file.
func ByScheme(addr string) (Kind, string, error) {
	scheme, rest, _ := strings.Cut(addr, ":")
	switch strings.ToLower(scheme) {
	case "postgres", "postgresql":
		return Postgres, addr, nil
	case "mysql", "mariadb":
		return MySQL, addr, nil
	case "sqlite":
		return SQLite, strings.TrimPrefix(rest, "//"), nil
	}
	return 0, "", fault.Markf(fault.Invalid, "address %q, want a URL with a scheme of %s", conn.Redact(addr), strings.Join(Schemes, ", "))
}

// Shared returns the engine for a backend that does not close it.
func (d *DB) Shared() *DB {
	s := *d
	s.owned = false
	return &s
}

// Durable reports whether what is written outlives the process.
func (d *DB) Durable() bool { return d.durable }
