package sql

import (
	"context"
	"slices"
	"strconv"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
)

// probes are how many entries of an index are counted to find the key that
// leads to the fewest records.
var probes = [...]int64{64, 512, 4096}

// lead picks the key whose index a search on SQLite goes by, where several could
// lead it, by counting what each of them finds, up to a limit. SQLite itself
// takes all values of a key for equally common, and knows even that only after
// an ANALYZE, with which it would plan each statement again for each value. The
// other engines look into their own statistics.
func (s *session) lead(ctx context.Context, t *table, f db.Filter) (string, error) {
	if s.d.kind != sql.SQLite {
		return "", nil
	}
	keys := t.leaders(f)
	if len(keys) < 2 {
		return "", nil
	}
	for _, limit := range probes {
		best, fewest := "", limit
		for _, key := range keys {
			n, err := s.probe(ctx, t, f, key, limit)
			if err != nil {
				return "", err
			}
			if n < fewest {
				best, fewest = key, n
			}
		}
		if best != "" {
			return best, nil
		}
	}
	return keys[0], nil
}

// leaders are the keys by whose indexes a search could go: those of an Equal
// first. None if one index has several of them, since SQLite prefers that.
func (t *table) leaders(f db.Filter) []string {
	var keys []string
	must := f.Conjuncts()
	if slices.ContainsFunc(must, func(f db.Filter) bool { return f.Key == db.FieldID && (f.Op == db.OpEqual || f.Op == db.OpIn) }) {
		return nil
	}
	for _, ops := range [][]db.Operator{{db.OpEqual}, {db.OpIn, db.OpLess, db.OpLessOrEqual, db.OpGreater, db.OpGreaterOrEqual, db.OpPrefix, db.OpExists}} {
		for _, f := range must {
			if f.Key != db.FieldID && slices.Contains(ops, f.Op) && !slices.Contains(keys, f.Key) {
				keys = append(keys, f.Key)
			}
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	leads := func(key string) bool {
		return key == db.FieldCreated || key == db.FieldUpdated || slices.ContainsFunc(t.indexes, func(index []db.Order) bool { return index[0].Key == key })
	}
	for _, index := range t.indexes {
		if len(index) > 1 && slices.Contains(keys, index[0].Key) && slices.Contains(keys, index[1].Key) {
			return nil
		}
	}
	return slices.DeleteFunc(keys, func(key string) bool { return !leads(key) })
}

// probe counts, up to a limit, the entries of a key's index that a search would
// look at.
func (s *session) probe(ctx context.Context, t *table, f db.Filter, key string, limit int64) (int64, error) {
	w := &text{kind: s.d.kind, t: t}
	w.put("SELECT COUNT(*) FROM (SELECT 1 FROM " + t.rows + " r")
	w.where(slices.DeleteFunc(f.Conjuncts(), func(f db.Filter) bool {
		return f.Key != key || f.Op == db.OpNotEqual || f.Op == db.OpContains || f.Op == db.OpHas
	}))
	w.put(" LIMIT " + strconv.FormatInt(limit, 10) + ")")
	return s.number(ctx, w.String(), w.args...)
}
