package db_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

const (
	rows   = 20_000
	rounds = 5
)

var payload = make([]byte, 250)

func metadata(i int) map[string]any {
	return map[string]any{"owner": fmt.Sprint("owner", i%1000), "state": fmt.Sprint("state", i%7)}
}

func id(i int) string { return fmt.Sprintf("id%08d", i) }

func must(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// setting is one database of rows records, and three ways to it.
type setting struct {
	tb   db.Table
	raw  *raw
	gorm *gorm.DB
	ids  int // the next new one
}

func newSetting(b *testing.B) *setting {
	file := filepath.Join(b.TempDir(), "x.db")
	d, err := db.New(sql.SQLite(file))
	must(b, err)
	b.Cleanup(func() { d.Close() })
	tb, err := d.Table(b.Context(), "things")
	must(b, err)
	for i := 0; i < rows; i += 1000 {
		ops := make([]db.Op, 1000)
		for j := range ops {
			ops[j] = db.CreateOp(&db.Record{ID: id(i + j), Metadata: metadata(i + j), Data: payload})
		}
		must(b, tb.Batch(b.Context(), ops...))
	}
	s := &setting{tb: tb, raw: newRaw(b, file), ids: rows}
	g, err := gorm.Open(sqlite.New(sqlite.Config{DriverName: "sqlite", Conn: s.raw.write}), &gorm.Config{PrepareStmt: true, SkipDefaultTransaction: true, Logger: logger.Discard})
	must(b, err)
	s.gorm = g
	return s
}

// raw is database/sql by hand, with the pragmas and pools of package db.
type raw struct {
	write, read             *dbsql.DB
	insert, keys, get, find *dbsql.Stmt
}

func newRaw(b *testing.B, file string) *raw {
	const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_txlock="
	r := &raw{}
	var err error
	r.write, err = dbsql.Open("sqlite", "file:"+file+pragmas+"immediate")
	must(b, err)
	r.read, err = dbsql.Open("sqlite", "file:"+file+pragmas+"deferred")
	must(b, err)
	r.write.SetMaxOpenConns(1)
	r.read.SetMaxOpenConns(4)
	r.read.SetMaxIdleConns(4)
	b.Cleanup(func() { r.write.Close(); r.read.Close() })
	const columns = "SELECT r.id, r.version, r.created, r.updated, r.metadata, r.content_type, r.data FROM "
	prepare := func(d *dbsql.DB, q string) *dbsql.Stmt {
		st, err := d.Prepare(q)
		must(b, err)
		return st
	}
	r.insert = prepare(r.write, `INSERT INTO "things" (id, version, created, updated, metadata, content_type, data) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
	r.keys = prepare(r.write, `INSERT INTO "things$keys" (id, k, v) VALUES (?, ?, ?), (?, ?, ?)`)
	r.get = prepare(r.read, columns+`"things" r WHERE r.id = ?`)
	r.find = prepare(r.read, columns+`"things$keys" d JOIN "things" r ON r.id = d.id WHERE d.k = ? AND d.v = ? AND EXISTS (SELECT 1 FROM "things$keys" m WHERE m.id = r.id AND m.k = ? AND m.v = ?) ORDER BY d.id LIMIT 11`)
	return r
}

func (r *raw) scan(b *testing.B, rs *dbsql.Rows, err error) int {
	must(b, err)
	defer rs.Close()
	n := 0
	for rs.Next() {
		var r row
		must(b, rs.Scan(&r.ID, &r.Version, &r.Created, &r.Updated, &r.Metadata, &r.ContentType, &r.Data))
		n++
	}
	must(b, rs.Err())
	return n
}

// row and key are the tables, for GORM.
type row struct {
	ID                        string `gorm:"primaryKey"`
	Version, Created, Updated int64
	Metadata, ContentType     string
	Data                      []byte
}

func (row) TableName() string { return "things" }

type key struct {
	ID   string `gorm:"primaryKey"`
	K, V []byte
}

func (key) TableName() string { return "things$keys" }

// compare runs each contender for n operations, in turns, and reports the best
// round of each in µs, and the others' as a multiple of the first one's.
func compare(b *testing.B, n int, names []string, ops ...func(ctx context.Context, i int)) {
	best := make([]time.Duration, len(ops))
	for range rounds {
		for k, op := range ops {
			start := time.Now()
			for i := range n {
				op(b.Context(), i)
			}
			if d := time.Since(start); best[k] == 0 || d < best[k] {
				best[k] = d
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	line := ""
	for k, name := range names {
		us := best[k].Seconds() * 1e6 / float64(n)
		b.ReportMetric(us, name+"-µs")
		line += fmt.Sprintf("%s %.1f µs (ours is %.2f of it)  ", name, us, best[0].Seconds()/best[k].Seconds())
	}
	b.Log(line)
}

var contenders = []string{"db", "raw", "gorm"}

func BenchmarkCreate(b *testing.B) {
	s := newSetting(b)
	next := func() int { s.ids++; return s.ids }
	keys := func(i int) (string, []byte, []byte) {
		m := metadata(i)
		return id(i), db.SortKey(m["owner"]), db.SortKey(m["state"])
	}
	owner, state := []byte("owner"), []byte("state")
	compare(b, 2000, contenders, func(ctx context.Context, _ int) {
		i := next()
		must(b, s.tb.Create(ctx, &db.Record{ID: id(i), Metadata: metadata(i), Data: payload}))
	}, func(ctx context.Context, _ int) {
		i := next()
		md, _ := db.EncodeMetadata(metadata(i))
		name, o, st := keys(i)
		now := time.Now().UnixMicro()
		tx, err := s.raw.write.BeginTx(ctx, nil)
		must(b, err)
		_, err = tx.StmtContext(ctx, s.raw.insert).ExecContext(ctx, name, 1, now, now, string(md), "", payload)
		must(b, err)
		_, err = tx.StmtContext(ctx, s.raw.keys).ExecContext(ctx, name, owner, o, name, state, st)
		must(b, err)
		must(b, tx.Commit())
	}, func(ctx context.Context, _ int) {
		i := next()
		md, _ := db.EncodeMetadata(metadata(i))
		name, o, st := keys(i)
		now := time.Now().UnixMicro()
		must(b, s.gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&row{ID: name, Version: 1, Created: now, Updated: now, Metadata: string(md), Data: payload}).Error; err != nil {
				return err
			}
			return tx.Create([]key{{name, owner, o}, {name, state, st}}).Error
		}))
	})
}

func BenchmarkRead(b *testing.B) {
	s := newSetting(b)
	compare(b, 5000, contenders, func(ctx context.Context, i int) {
		_, err := s.tb.Read(ctx, id(i*7919%rows))
		must(b, err)
	}, func(ctx context.Context, i int) {
		var r row
		must(b, s.raw.get.QueryRowContext(ctx, id(i*7919%rows)).Scan(&r.ID, &r.Version, &r.Created, &r.Updated, &r.Metadata, &r.ContentType, &r.Data))
	}, func(ctx context.Context, i int) {
		var r row
		must(b, s.gorm.WithContext(ctx).Take(&r, "id = ?", id(i*7919%rows)).Error)
	})
}

func BenchmarkSearchByTwoKeys(b *testing.B) {
	s := newSetting(b)
	want := func(n int) {
		if n == 0 {
			b.Fatal("found nothing")
		}
	}
	compare(b, 1000, contenders, func(ctx context.Context, i int) {
		m := metadata(i)
		p, err := s.tb.Search(ctx, db.Where(db.Equal("owner", m["owner"]), db.Equal("state", m["state"])), db.Limit(10))
		must(b, err)
		want(len(p.Records))
	}, func(ctx context.Context, i int) {
		m := metadata(i)
		rs, err := s.raw.find.QueryContext(ctx, []byte("owner"), db.SortKey(m["owner"]), []byte("state"), db.SortKey(m["state"]))
		want(s.raw.scan(b, rs, err))
	}, func(ctx context.Context, i int) {
		m := metadata(i)
		var found []row
		must(b, s.gorm.WithContext(ctx).Table(`"things$keys" d`).Select("r.*").Joins(`JOIN "things" r ON r.id = d.id`).Where("d.k = ? AND d.v = ?", []byte("owner"), db.SortKey(m["owner"])).
			Where(`EXISTS (SELECT 1 FROM "things$keys" m WHERE m.id = r.id AND m.k = ? AND m.v = ?)`, []byte("state"), db.SortKey(m["state"])).Order("d.id").Limit(11).Find(&found).Error)
		want(len(found))
	})
}

// BenchmarkDeepPage is the page at record 15 000 against the first one, by id and
// by a key; an OFFSET is what others do.
func BenchmarkDeepPage(b *testing.B) {
	s := newSetting(b)
	for name, opts := range map[string][]db.SearchOption{
		"all":    {db.Limit(20)},
		"filter": {db.Limit(20), db.Where(db.GreaterOrEqual("owner", "")), db.OrderBy("owner")},
	} {
		b.Run(name, func(b *testing.B) {
			cursor := ""
			for n := 0; n < 15_000; n += 1000 {
				p, err := s.tb.Search(b.Context(), append(opts[1:len(opts):len(opts)], db.Limit(1000), db.After(cursor))...)
				must(b, err)
				cursor = p.Next
			}
			page := func(ctx context.Context, after string) {
				p, err := s.tb.Search(ctx, append(opts[:len(opts):len(opts)], db.After(after))...)
				must(b, err)
				if len(p.Records) != 20 {
					b.Fatalf("%d records", len(p.Records))
				}
			}
			compare(b, 500, []string{"deep", "first", "offset"}, func(ctx context.Context, _ int) { page(ctx, cursor) }, func(ctx context.Context, _ int) { page(ctx, "") },
				func(ctx context.Context, _ int) {
					rs, err := s.raw.read.QueryContext(ctx, `SELECT * FROM "things" ORDER BY id LIMIT 20 OFFSET 15000`)
					s.raw.scan(b, rs, err)
				})
		})
	}
}
