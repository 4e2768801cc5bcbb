// Package sql is the one place where SQL databases are opened: addresses, TLS,
// pools, what differs between SQLite, MySQL and PostgreSQL, and what their
// errors mean. The SQL backends of all public packages share it.
package sql

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	_ "modernc.org/sqlite" // as the driver "sqlite"
)

// Kind is a database's dialect.
type Kind int

// The kinds. MySQL stands for MariaDB too.
const (
	SQLite Kind = iota + 1
	MySQL
	Postgres
)

// String returns "sqlite", "mysql" or "postgres", and "sql" for another number.
func (k Kind) String() string {
	if k < SQLite || k > Postgres {
		return "sql"
	}
	return [...]string{SQLite: "sqlite", MySQL: "mysql", Postgres: "postgres"}[k]
}

// Rebind turns the placeholders '?' of a statement into those of the dialect.
// The statement must have no '?' elsewhere.
func (k Kind) Rebind(query string) string {
	if k != Postgres {
		return query
	}
	var b strings.Builder
	for n, rest := 1, query; ; n++ {
		i := strings.IndexByte(rest, '?')
		if i < 0 {
			b.WriteString(rest)
			return b.String()
		}
		b.WriteString(rest[:i])
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		rest = rest[i+1:]
	}
}

// Quote quotes a name that has no quotes in it.
func (k Kind) Quote(name string) string {
	if k == MySQL {
		return "`" + name + "`"
	}
	return `"` + name + `"`
}

// Config says how to reach a database. Either Address or DB is set.
type Config struct {
	Kind Kind

	// Address is for SQLite a file name or ":memory:", for MySQL
	// "mysql://user:password@host:3306/database" or the form of
	// go-sql-driver/mysql, for PostgreSQL a URL or the key=value form of libpq.
	Address string

	TLS     *tls.Config // nil: as Address says
	MaxOpen int         // connections; 0: 10, for SQLite as many readers as processors
	Durable bool        // SQLite: sync to disk on every commit, not only at checkpoints

	// AbandonedTx is how long a transaction stays open of a client that says
	// nothing, as a process that was stopped: then the server ends its connection,
	// and with it its locks. 0: indefinitely. SQLite has no such thing.
	AbandonedTx time.Duration

	DB *sql.DB // the user's own; Close leaves it open
}

// DB is a pool of connections to one database.
type DB struct {
	*sql.DB // for writes. Of SQLite it is one connection, whose transactions take the write lock at once

	Read *sql.DB // for reads
	Kind Kind

	addr    string
	owned   bool
	durable bool
}

// dialTimeout bounds one attempt to connect, unless the address has another one:
// timeout of MySQL, connect_timeout of PostgreSQL.
const dialTimeout = 3 * time.Second

// Open builds the pool that c describes. It connects to nothing, except that
// SQLite's file is made on first use.
func Open(c Config) (*DB, error) {
	if c.Kind < SQLite || c.Kind > Postgres {
		return nil, fault.Markf(fault.Invalid, "unknown dialect %d", int(c.Kind))
	}
	d := &DB{Kind: c.Kind, addr: conn.Redact(c.Address), owned: true, durable: c.Address != ":memory:"}
	if c.DB != nil {
		d.DB, d.Read, d.addr, d.owned = c.DB, c.DB, "the database given", false
		return d, nil
	}
	if c.Address == "" {
		return nil, fault.Markf(fault.Invalid, "empty address")
	}
	if c.MaxOpen < 0 {
		return nil, fault.Markf(fault.Invalid, "negative number of connections")
	}
	var err error
	switch c.Kind {
	case SQLite:
		err = d.openSQLite(c)
	case MySQL:
		err = d.openMySQL(c)
	case Postgres:
		err = d.openPostgres(c)
	}
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	return d, nil
}

func (d *DB) openSQLite(c Config) error {
	synchronous := "NORMAL"
	if c.Durable {
		synchronous = "FULL"
	}
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "foreign_keys(1)", "temp_store(MEMORY)"}}
	name := c.Address
	if strings.ContainsAny(name, "?#") || strings.HasPrefix(name, "file:") {
		return fmt.Errorf("file name %q, want a plain one", name)
	}
	dsn := func(txlock string) string {
		q.Set("_txlock", txlock)
		return "file:" + (&url.URL{Path: name}).EscapedPath() + "?" + q.Encode()
	}
	writer, err := patiently(dsn("immediate"))
	if err != nil {
		return err
	}
	d.DB = sql.OpenDB(&queue{Connector: whole{writer}}) // writers wait here, not on SQLite's busy timeout
	d.DB.SetMaxIdleConns(-1)
	if name == ":memory:" {
		d.Read = d.DB // each connection would be a database of its own
		return nil
	}
	reader, err := patiently(dsn("deferred"))
	if err != nil {
		return err
	}
	d.Read = sql.OpenDB(reader)
	n := cmp.Or(c.MaxOpen, max(runtime.GOMAXPROCS(0), 4))
	d.Read.SetMaxOpenConns(n)
	d.Read.SetMaxIdleConns(n)
	return nil
}

func (d *DB) openMySQL(c Config) error {
	var cfg *mysql.Config
	if strings.Contains(c.Address, "://") {
		a, err := conn.Parse(c.Address, conn.Scheme{Name: "mysql", Port: 3306}, conn.Scheme{Name: "mariadb", Port: 3306})
		if err != nil {
			return err
		}
		// The parameters, tls above all, are read as those of a DSN are.
		cfg, err = mysql.ParseDSN("tcp(" + a.HostPort() + ")/?" + a.Query.Encode())
		if err != nil {
			return fmt.Errorf("malformed parameters in address %s", a)
		}
		cfg.User, cfg.Passwd, cfg.DBName = a.User, a.Password, a.Path
	} else {
		var err error
		cfg, err = mysql.ParseDSN(c.Address)
		if err != nil {
			return errors.New("malformed address, want user:password@tcp(host:port)/database or mysql://user:password@host:port/database")
		}
	}
	if cfg.DBName == "" {
		return fmt.Errorf("address %q names no database", cfg.Addr)
	}
	d.addr = cfg.Addr + "/" + cfg.DBName
	cfg.ClientFoundRows = true   // an update that changes nothing has found its row
	cfg.InterpolateParams = true // one round trip; the driver escapes for the connection's UTF-8
	cfg.Collation = "utf8mb4_bin"
	if cfg.Timeout == 0 {
		cfg.Timeout = dialTimeout
	}
	if c.TLS != nil {
		cfg.TLS, cfg.AllowFallbackToPlaintext = c.TLS, false
	}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	if _, ok := cfg.Params["sql_mode"]; !ok {
		cfg.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
	}
	if _, ok := cfg.Params["time_zone"]; !ok { // a local time is there twice when clocks are set back
		cfg.Params["time_zone"] = "'+00:00'"
	}
	cfg.Params["autocommit"] = "1" // a server may have another default: what is answered would not be committed
	if c.AbandonedTx > 0 {         // MySQL knows no limit of transactions alone
		cfg.Params["wait_timeout"] = strconv.Itoa(int(c.AbandonedTx / time.Second))
	}
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	d.pool(sql.OpenDB(whole{connector}), c)
	return nil
}

func (d *DB) openPostgres(c Config) error {
	cfg, err := pgx.ParseConfig(conn.EscapeUserinfo(c.Address))
	if err != nil {
		return errors.New("malformed address, want postgres://user:password@host:port/database") // pgx repeats much of it
	}
	d.addr = fmt.Sprintf("%s:%d/%s", cfg.Host, cfg.Port, cfg.Database)
	if !strings.Contains(c.Address, "connect_timeout") {
		cfg.ConnectTimeout = dialTimeout
	}
	if c.TLS != nil {
		cfg.TLSConfig = c.TLS
		for _, f := range cfg.Fallbacks {
			f.TLSConfig = c.TLS
		}
	}
	var opts []stdlib.OptionOpenDB
	if c.AbandonedTx > 0 {
		limit := fmt.Sprintf("SET idle_in_transaction_session_timeout = %d", c.AbandonedTx.Milliseconds())
		opts = append(opts, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, limit)
			return err
		}))
	}
	d.pool(stdlib.OpenDB(*cfg, opts...), c)
	return nil
}

func (d *DB) pool(db *sql.DB, c Config) {
	n := cmp.Or(c.MaxOpen, 10)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	db.SetConnMaxIdleTime(5 * time.Minute)
	if d.Kind == MySQL && c.AbandonedTx > 0 {
		db.SetConnMaxIdleTime(c.AbandonedTx / 2) // before the server closes it
	}
	d.DB, d.Read = db, db
}

// Addr is where the database is, without secrets.
func (d *DB) Addr() string { return d.addr }

// Ping asks for a sign of life. Its error is Unavailable and names the address.
func (d *DB) Ping(ctx context.Context) error {
	if err := d.DB.PingContext(ctx); err != nil {
		if strings.Contains(err.Error(), closed) {
			return ReadError(err)
		}
		if errors.Is(ReadError(err), fault.Denied) {
			return fault.Markf(fault.Denied, "%s refuses: %w", d.addr, err)
		}
		return fault.Markf(fault.Unavailable, "no answer from %s: %w", d.addr, conn.HungUp(err))
	}
	return nil
}

// Close closes the pool unless the user brought it.
func (d *DB) Close() error {
	if !d.owned {
		return nil
	}
	var err error
	if d.Read != d.DB {
		err = d.Read.Close()
	}
	return errors.Join(d.DB.Close(), err)
}
