package sql

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/conn/sql"
)

func (d *driver) Explain(ctx context.Context, name string, q db.Query) (db.Plan, error) {
	p, err := d.reader().explain(ctx, d.table(name), q)
	return p, sql.ReadError(err)
}

func (x *transaction) Explain(ctx context.Context, name string, q db.Query) (db.Plan, error) {
	p, err := x.s.explain(ctx, x.s.d.table(name), q)
	return p, x.failed(err)
}

// explain asks the engine for its plan, and reads from it what engines have in
// common.
func (s *session) explain(ctx context.Context, t *table, q db.Query) (p db.Plan, err error) {
	if x := t.existing.Load(); x != nil {
		return x.explain(ctx, s, q)
	}
	lead, err := s.lead(ctx, t, q.Filter)
	if err != nil {
		return p, err
	}
	text, args := newSearch(s.d.kind, t, q, lead)
	lines, err := s.lines(ctx, explains[s.d.kind]+text, args)
	if err != nil {
		return p, err
	}
	p.Engine = strings.Join(lines, "\n")
	p.Indexes = t.used(s.d.kind, p.Engine)
	p.Scan, p.Sort = steps(s.d.kind, p, q)
	return p, nil
}

// explains is what the engines want before a statement to be explained.
var explains = map[sql.Kind]string{sql.SQLite: "EXPLAIN QUERY PLAN ", sql.MySQL: "EXPLAIN ", sql.Postgres: "EXPLAIN "}

var (
	scansSQLite = regexp.MustCompile(`(?m)^SCAN r\b`)
	scansMySQL  = regexp.MustCompile(`(?m)^r (ALL|index) `)
)

// steps reads from an engine's plan whether it looks at every record, and whether
// it sorts. A plan without a condition that reads an index in the order that is
// asked for looks at no more of it than the page.
func steps(kind sql.Kind, p db.Plan, q db.Query) (scan, sort bool) {
	switch kind {
	case sql.SQLite:
		sort = strings.Contains(p.Engine, "USE TEMP B-TREE")
		scan = scansSQLite.MatchString(p.Engine)
	case sql.MySQL:
		sort = strings.Contains(p.Engine, "Using filesort")
		scan = scansMySQL.MatchString(p.Engine)
	default:
		sort = strings.Contains(p.Engine, "Sort Key:")
		if strings.Contains(p.Engine, "Seq Scan on") {
			return true, sort
		}
		scan = !strings.Contains(p.Engine, "Index Cond")
	}
	ordered := len(p.Indexes) > 0 && !sort && len(q.Filter.Conjuncts()) == 0
	return scan && !ordered, sort
}

// used returns the indexes that a plan names, by their keys.
func (t *table) used(kind sql.Kind, plan string) []string {
	names := map[string]string{
		indexName(t.name, []db.Order{{Key: db.FieldCreated}}): db.FieldCreated, indexName(t.name, []db.Order{{Key: db.FieldUpdated}}): db.FieldUpdated,
		t.name + "$has": "has",
	}
	switch kind {
	case sql.SQLite:
		names["sqlite_autoindex_"+t.name+"_1"] = db.FieldID
	case sql.MySQL:
		names["PRIMARY"] = db.FieldID
	default:
		names[t.name+"_pkey"] = db.FieldID
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, index := range t.indexes {
		names[indexName(t.name, index)] = dbdriver.IndexName(index)
	}
	for name, key := range t.words {
		names[name] = "match " + key
	}
	var found []string
	for _, word := range strings.FieldsFunc(plan, func(r rune) bool { return strings.ContainsRune(" \n\t\"`,();=", r) }) {
		if keys, ok := names[word]; ok && !slices.Contains(found, keys) {
			found = append(found, keys)
		}
	}
	return found
}

// lines reads an answer of any columns, a line for each row. Of MySQL's these
// are: table, type, key, ref, rows and what else it does.
func (s *session) lines(ctx context.Context, text string, args []any) ([]string, error) {
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var lines []string
	for rows.Next() {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		var words []string
		for i, c := range columns {
			c = strings.ToLower(c)
			if slices.Contains([]string{"detail", "query plan", "table", "type", "key", "ref", "rows", "extra"}, c) && row[i] != nil {
				word := fmt.Sprint(row[i])
				if b, ok := row[i].([]byte); ok {
					word = string(b)
				}
				words = append(words, word)
			}
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines, rows.Err()
}
