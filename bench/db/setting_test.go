package db_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/servertest"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

const (
	rows   = 100_000
	rounds = 40 // short ones: on a busy machine a few of them are quiet for all contenders
)

var payload = make([]byte, 250)

func owner(i int) string { return fmt.Sprint("owner", i%1000) } // 100 records have it
func state(i int) string { return fmt.Sprint("state", i%7) }    // 14 000 do
func total(i int) int    { return i * 7919 % rows }             // one does

func metadata(i int) map[string]any {
	return map[string]any{"owner": owner(i), "state": state(i), "total": total(i)}
}

func id(i int) string { return fmt.Sprintf("id%08d", i) }

func must(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// setting is one database with the same records twice: in a table of package db,
// and in one with a column for each key, which database/sql and GORM use.
type setting struct {
	tb   db.Table
	raw  *raw
	gorm *gorm.DB // nil on PostgreSQL
	next int      // the next new record
}

func each(b *testing.B, run func(b *testing.B, s *setting)) {
	for name, open := range map[string]func(b *testing.B) (db.Option, *raw, gorm.Dialector){
		"sqlite": func(b *testing.B) (db.Option, *raw, gorm.Dialector) {
			file := filepath.Join(b.TempDir(), "x.db")
			const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_txlock="
			write, err := dbsql.Open("sqlite", "file:"+file+pragmas+"immediate")
			must(b, err)
			read, err := dbsql.Open("sqlite", "file:"+file+pragmas+"deferred")
			must(b, err)
			write.SetMaxOpenConns(1)
			read.SetMaxOpenConns(4)
			read.SetMaxIdleConns(4)
			return sql.SQLite(file), &raw{write: write, read: read, blob: "BLOB"}, sqlite.New(sqlite.Config{DriverName: "sqlite", Conn: write})
		},
		"postgres": func(b *testing.B) (db.Option, *raw, gorm.Dialector) {
			dsn := servertest.SharedPostgres(b).DSN()
			h, err := dbsql.Open("pgx", dsn)
			must(b, err)
			h.SetMaxIdleConns(10)
			return sql.Postgres(dsn), &raw{write: h, read: h, blob: "BYTEA", dollar: true}, nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			option, r, dialect := open(b)
			b.Cleanup(func() { r.write.Close(); r.read.Close() })
			d, err := db.New(option, db.WithNamespace("b"+db.NewID()[24:]))
			must(b, err)
			b.Cleanup(func() { d.Close() })
			tb, err := d.Table(b.Context(), "things", db.Index("owner"), db.Index("state"), db.Index("total"))
			must(b, err)
			for i := 0; i < rows; i += 1000 {
				ops := make([]db.Op, 1000)
				for j := range ops {
					ops[j] = db.CreateOp(&db.Record{ID: id(i + j), Metadata: metadata(i + j), Data: payload})
				}
				must(b, tb.Batch(b.Context(), ops...))
			}
			r.fill(b)
			if r.dollar {
				r.exec(b, "VACUUM ANALYZE")
			}
			s := &setting{tb: tb, raw: r, next: rows}
			if dialect != nil {
				s.gorm, err = gorm.Open(dialect, &gorm.Config{PrepareStmt: true, SkipDefaultTransaction: true, Logger: logger.Discard})
				must(b, err)
			}
			run(b, s)
		})
	}
}

// raw is database/sql by hand, with the pragmas and pools of package db, on a
// table as people make it, with the indexes that the other one has.
type raw struct {
	write, read *dbsql.DB
	blob        string
	dollar      bool // placeholders are $1, $2

	insert, get, equal, both, between, ordered, update *dbsql.Stmt
}

type row struct {
	ID                        string `gorm:"primaryKey"`
	Version, Created, Updated int64
	Owner, State              string
	Total                     int64
	ContentType               string
	Data                      []byte
}

func (row) TableName() string { return "raw" }

func (r *raw) exec(b *testing.B, q string) {
	_, err := r.write.ExecContext(b.Context(), q)
	must(b, err)
}

func (r *raw) fill(b *testing.B) {
	r.exec(b, "DROP TABLE IF EXISTS raw")
	collate := ""
	if r.dollar {
		collate = ` COLLATE "C"`
	}
	r.exec(b, "CREATE TABLE raw (id TEXT"+collate+" PRIMARY KEY, version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, owner TEXT"+collate+" NOT NULL, state TEXT"+collate+" NOT NULL, total BIGINT NOT NULL, content_type TEXT NOT NULL, data "+r.blob+")")
	for _, c := range []string{"created", "updated", "owner", "state", "total"} {
		r.exec(b, "CREATE INDEX raw_"+c+" ON raw ("+c+", id)")
	}
	const columns = "SELECT id, version, created, updated, owner, state, total, content_type, data FROM raw "
	prepare := func(d *dbsql.DB, q string) *dbsql.Stmt {
		for n := 1; r.dollar; n++ {
			i := indexByte(q)
			if i < 0 {
				break
			}
			q = q[:i] + fmt.Sprint("$", n) + q[i+1:]
		}
		st, err := d.Prepare(q)
		must(b, err)
		return st
	}
	r.insert = prepare(r.write, "INSERT INTO raw (id, version, created, updated, owner, state, total, content_type, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
	r.get = prepare(r.read, columns+"WHERE id = ?")
	r.equal = prepare(r.read, columns+"WHERE owner = ? ORDER BY id LIMIT 21")
	r.both = prepare(r.read, columns+"WHERE owner = ? AND state = ? ORDER BY id LIMIT 21")
	r.between = prepare(r.read, columns+"WHERE total >= ? AND total < ? ORDER BY total, id LIMIT 21")
	r.ordered = prepare(r.read, columns+"ORDER BY total, id LIMIT 21")
	r.update = prepare(r.write, "UPDATE raw SET version = version + 1, updated = ?, owner = ?, state = ?, total = ?, content_type = ?, data = ? WHERE id = ? AND version = ?")
	for i := 0; i < rows; i += 1000 {
		tx, err := r.write.Begin()
		must(b, err)
		st := tx.Stmt(r.insert)
		for j := i; j < i+1000; j++ {
			_, err := st.Exec(r.row(j)...)
			must(b, err)
		}
		must(b, tx.Commit())
	}
}

func indexByte(q string) int {
	for i := range q {
		if q[i] == '?' {
			return i
		}
	}
	return -1
}

func (r *raw) row(i int) []any {
	now := time.Now().UnixMicro()
	return []any{id(i), 1, now, now, owner(i), state(i), total(i), "", payload}
}

func (r *row) to() []any {
	return []any{&r.ID, &r.Version, &r.Created, &r.Updated, &r.Owner, &r.State, &r.Total, &r.ContentType, &r.Data}
}

func scan(b *testing.B, rs *dbsql.Rows, err error) int {
	must(b, err)
	defer rs.Close()
	n := 0
	for rs.Next() {
		var r row
		must(b, rs.Scan(r.to()...))
		n++
	}
	must(b, rs.Err())
	return n
}

// compare runs each contender for n operations, in turns, and reports the best
// round of each in µs, and the first one's as a multiple of the others': of the
// time, and of the processor time of this process, which a busy machine leaves as
// it is.
func compare(b *testing.B, n int, names []string, ops ...func(ctx context.Context, i int)) {
	best, work := make([]time.Duration, len(ops)), make([]time.Duration, len(ops))
	for range rounds {
		for k, op := range ops {
			start, worked := time.Now(), processor(b)
			for i := range n {
				op(b.Context(), i)
			}
			if d := time.Since(start); best[k] == 0 || d < best[k] {
				best[k] = d
			}
			if d := processor(b) - worked; work[k] == 0 || d < work[k] {
				work[k] = d
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	line := ""
	for k, name := range names {
		us := best[k].Seconds() * 1e6 / float64(n)
		b.ReportMetric(us, name+"-µs")
		line += fmt.Sprintf("%s %.1f µs (ours is %.2f of it, %.2f of the processor's)  ", name, us, best[0].Seconds()/best[k].Seconds(), work[0].Seconds()/work[k].Seconds())
	}
	b.Log(line)
}

// processor is the processor time of this process: on SQLite all of the work, on
// PostgreSQL the client's part.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// compare measures package db, database/sql and, where it is, GORM.
func (s *setting) compare(b *testing.B, n int, ours, raw, gorm func(ctx context.Context, i int)) {
	if s.gorm == nil {
		compare(b, n, []string{"db", "raw"}, ours, raw)
		return
	}
	compare(b, n, []string{"db", "raw", "gorm"}, ours, raw, gorm)
}
