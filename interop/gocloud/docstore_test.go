package gocloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/servertest"
	"gocloud.dev/docstore"
	"gocloud.dev/docstore/driver"
	"gocloud.dev/docstore/drivertest"
	"gocloud.dev/gcerrors"
)

// TestDocstore is Go CDK's suite. A document is a record: gob in Data, and its
// scalar fields as Metadata. What docstore has and db has not, the adapter does: an
// offset, "not-in", updates inside of nested fields, queries without an index
// (AllowScan), Delete of what is not there. Cassandra, Elasticsearch and OpenSearch
// are left out: they lack transactions, and Cassandra the order of a search.
func TestDocstore(t *testing.T) {
	for name, backend := range map[string]func(t *testing.T) db.Option{
		"memory":   func(*testing.T) db.Option { return db.Memory() },
		"sqlite":   func(t *testing.T) db.Option { return dbsql.SQLite(filepath.Join(t.TempDir(), "x.db")) },
		"postgres": func(t *testing.T) db.Option { return dbsql.Postgres(servertest.SharedPostgres(t).DSN()) },
		"mysql":    func(t *testing.T) db.Option { return dbsql.MySQL(servertest.SharedMariaDB(t).DSN() + "mysql") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := db.New(backend(t), db.WithNamespace("suite"))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			drivertest.RunConformanceTests(t, func(context.Context, *testing.T) (drivertest.Harness, error) {
				return documents{d}, nil
			}, nil, nil)
		})
	}
}

type documents struct{ db db.DB }

var tables atomic.Int64

func (h documents) MakeCollection(ctx context.Context, kind drivertest.CollectionKind) (driver.Collection, error) {
	table, err := h.db.Table(ctx, fmt.Sprint("docs", tables.Add(1)))
	c := &collection{db: h.db, table: table, keyField: drivertest.KeyField, revision: docstore.DefaultRevisionField}
	switch kind {
	case drivertest.TwoKey:
		c.keyField = ""
	case drivertest.AltRev:
		c.revision = drivertest.AlternateRevisionField
	}
	return c, err
}

func (documents) BeforeDoTypes() []any         { return nil }
func (documents) BeforeQueryTypes() []any      { return nil }
func (documents) RevisionsEqual(a, b any) bool { return a == b }
func (documents) Close()                       {}
func (documents) AtomicWritesKind() drivertest.AtomicWritesSupportKind {
	return drivertest.MultiplePartitions
}

var errArgument = errors.New("invalid argument")

// collection is a table.
type collection struct {
	db       db.DB
	table    db.Table
	keyField string // empty: HighScoreKey
	revision string
}

func (c *collection) Key(doc driver.Document) (any, error) {
	if c.keyField == "" {
		key := drivertest.HighScoreKey(doc.Origin)
		if key == "" {
			return nil, fmt.Errorf("%w: no key", errArgument)
		}
		return key, nil
	}
	key, _ := doc.GetField(c.keyField)
	return key, nil
}

func (c *collection) RevisionField() string { return c.revision }

func (c *collection) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, db.ErrNotFound):
		return gcerrors.NotFound
	case errors.Is(err, db.ErrExists):
		return gcerrors.AlreadyExists
	case errors.Is(err, db.ErrConflict):
		return gcerrors.FailedPrecondition
	case errors.Is(err, db.ErrInvalid), errors.Is(err, errArgument):
		return gcerrors.InvalidArgument
	}
	return gcerrors.Code(err)
}

func (c *collection) RunActions(ctx context.Context, actions []*driver.Action, opts *driver.RunActionsOptions) driver.ActionListError {
	errs := make([]error, len(actions))
	if opts.BeforeDo != nil {
		if err := opts.BeforeDo(func(any) bool { return false }); err != nil {
			for i := range errs {
				errs[i] = err
			}
			return driver.NewActionListError(errs)
		}
	}
	beforeGets, gets, writes, atomic, afterGets := driver.GroupActions(actions)
	each := func(list []*driver.Action) {
		for _, a := range list {
			errs[a.Index] = c.run(ctx, c.table, a)
		}
	}
	each(beforeGets)
	each(gets)
	each(writes)
	if len(atomic) > 0 {
		err := c.db.Tx(ctx, func(ctx context.Context, tx db.DB) error {
			table, err := tx.Table(ctx, c.table.Name())
			for i := 0; i < len(atomic) && err == nil; i++ {
				err = c.run(ctx, table, atomic[i])
			}
			return err
		})
		for _, a := range atomic {
			errs[a.Index] = err
		}
	}
	each(afterGets)
	return driver.NewActionListError(errs)
}

func (c *collection) run(ctx context.Context, table db.Table, a *driver.Action) error {
	id := ""
	if a.Key != nil {
		id = fmt.Sprint(a.Key)
	}
	version := uint64(0) // none was given
	if v, err := a.Doc.GetField(c.revision); err == nil && v != nil {
		n, ok := v.(int64)
		if !ok {
			return fmt.Errorf("%w: a revision of type %T", errArgument, v)
		}
		version = uint64(n)
	}
	switch a.Kind {
	case driver.Get:
		r, err := table.Read(ctx, id)
		if err != nil {
			return err
		}
		return c.fill(r, a.Doc, a.FieldPaths)
	case driver.Delete:
		var opts []db.WriteOption
		if version > 0 {
			opts = append(opts, db.IfVersion(version))
		}
		err := table.Delete(ctx, id, opts...)
		if errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	case driver.Update:
		return c.update(ctx, table, a, id, version)
	}
	if id == "" { // a Create whose key we choose
		id = db.NewID()
		if err := a.Doc.SetField(c.keyField, id); err != nil {
			return err
		}
	}
	fields, data, err := encode(a.Doc)
	if err != nil {
		return err
	}
	r := &db.Record{ID: id, Version: version, Metadata: c.metadata(fields), Data: data}
	switch {
	case a.Kind == driver.Create:
		err = table.Create(ctx, r)
	case version > 0:
		err = table.Update(ctx, r)
	case a.Kind == driver.Put:
		err = table.Update(ctx, r, db.Upsert())
	default:
		err = table.Update(ctx, r, db.Force())
	}
	if err != nil {
		return err
	}
	return c.setRevision(a.Doc, r)
}

func (c *collection) setRevision(doc driver.Document, r *db.Record) error {
	if !doc.HasField(c.revision) {
		return nil
	}
	return doc.SetField(c.revision, int64(r.Version))
}

// update changes fields, again if another was faster.
func (c *collection) update(ctx context.Context, table db.Table, a *driver.Action, id string, version uint64) error {
	for {
		r, err := table.Read(ctx, id)
		if err != nil {
			return err
		}
		if version > 0 && r.Version != version {
			return db.ErrConflict
		}
		fields, err := unpack(r.Data)
		if err != nil {
			return err
		}
		for _, m := range a.Mods {
			if err := change(fields, m); err != nil {
				return err
			}
		}
		if r.Data, err = pack(fields); err != nil {
			return err
		}
		r.Metadata = c.metadata(fields)
		err = table.Update(ctx, r)
		if errors.Is(err, db.ErrConflict) && version == 0 && !a.InAtomicWrite {
			continue
		}
		if err != nil {
			return err
		}
		return c.setRevision(a.Doc, r)
	}
}

func change(fields map[string]any, m driver.Mod) error {
	dict, err := within(fields, m.FieldPath)
	if err != nil {
		return err
	}
	name := m.FieldPath[len(m.FieldPath)-1]
	switch by, ok := m.Value.(driver.IncOp); {
	case ok:
		dict[name], err = sum(dict[name], by.Amount)
	case m.Value == nil:
		delete(dict, name)
	default:
		dict[name], err = encodeValue(m.Value)
	}
	return err
}

func sum(a, b any) (any, error) {
	b, err := encodeValue(b)
	if a == nil || err != nil {
		return b, err
	}
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	switch {
	case x.CanInt() && y.CanInt():
		return x.Int() + y.Int(), nil
	case x.CanInt() && y.CanFloat():
		return float64(x.Int()) + y.Float(), nil
	case x.CanFloat() && y.CanInt():
		return x.Float() + float64(y.Int()), nil
	case x.CanFloat() && y.CanFloat():
		return x.Float() + y.Float(), nil
	}
	return nil, fmt.Errorf("%w: %v is no number", errArgument, a)
}

// metadata is what a record can be searched by: scalar fields, and with their paths
// those inside of others.
func (c *collection) metadata(fields map[string]any) map[string]any {
	md := map[string]any{}
	c.flatten(md, "", fields)
	delete(md, c.revision)
	return md
}

func (c *collection) flatten(md map[string]any, path string, fields map[string]any) {
	for k, v := range fields {
		switch v := v.(type) {
		case bool, int64, float64, time.Time:
			md[path+k] = v
		case string:
			if len(v) <= 1024 {
				md[path+k] = v
			}
		case map[string]any:
			c.flatten(md, path+k+".", v)
		}
	}
}

// fill decodes a record into a document: all fields, or those at the paths.
func (c *collection) fill(r *db.Record, doc driver.Document, paths [][]string) error {
	fields, err := unpack(r.Data)
	if err != nil {
		return err
	}
	if _, ok := fields[c.revision]; ok { // the document was written with one
		fields[c.revision] = int64(r.Version)
	}
	if len(paths) > 0 {
		all := fields
		fields = map[string]any{}
		if c.keyField != "" {
			paths = append([][]string{{c.keyField}}, paths...)
		}
		for _, p := range paths {
			if v, ok := at(all, p); ok {
				dict, err := within(fields, p)
				if err != nil {
					return err
				}
				dict[p[len(p)-1]] = v
			}
		}
	}
	return doc.Decode(decoder{fields})
}

func (c *collection) RunGetQuery(ctx context.Context, q *driver.Query) (driver.DocumentIterator, error) {
	if q.BeforeQuery != nil {
		if err := q.BeforeQuery(func(any) bool { return false }); err != nil {
			return nil, err
		}
	}
	opts := []db.SearchOption{db.AllowScan()}
	for _, f := range q.Filters {
		opts = append(opts, db.Where(filter(f)))
	}
	if q.OrderByField != "" {
		opts = append(opts, db.OrderByKeys(db.Order{Key: q.OrderByField, Desc: !q.OrderAscending}))
	}
	it := &iterator{c: c, paths: q.FieldPaths}
	skip := q.Offset
	for r, err := range c.table.All(ctx, opts...) {
		if err != nil {
			return nil, err
		}
		if skip > 0 {
			skip--
			continue
		}
		it.records = append(it.records, r)
		if len(it.records) == q.Limit {
			break
		}
	}
	return it, nil
}

func filter(f driver.Filter) db.Filter {
	key := strings.Join(f.FieldPath, ".")
	several := func() (list []any) {
		v := reflect.ValueOf(f.Value)
		for i := range v.Len() {
			list = append(list, v.Index(i).Interface())
		}
		return list
	}
	switch f.Op {
	case "<":
		return db.Less(key, f.Value)
	case "<=":
		return db.LessOrEqual(key, f.Value)
	case ">":
		return db.Greater(key, f.Value)
	case ">=":
		return db.GreaterOrEqual(key, f.Value)
	case "in":
		return db.In(key, several()...)
	case "not-in":
		return db.And(db.Exists(key), db.Not(db.In(key, several()...)))
	}
	return db.Equal(key, f.Value)
}

type iterator struct {
	c       *collection
	records []*db.Record
	paths   [][]string
}

func (it *iterator) Next(_ context.Context, doc driver.Document) error {
	if len(it.records) == 0 {
		return io.EOF
	}
	r := it.records[0]
	it.records = it.records[1:]
	return it.c.fill(r, doc, it.paths)
}

func (it *iterator) Stop()       { it.records = nil }
func (it *iterator) As(any) bool { return false }

func (c *collection) QueryPlan(*driver.Query) (string, error) { return "", nil }

func (c *collection) RevisionToBytes(rev any) ([]byte, error) {
	return strconv.AppendInt(nil, rev.(int64), 10), nil
}

func (c *collection) BytesToRevision(b []byte) (any, error) {
	return strconv.ParseInt(string(b), 10, 64)
}

func (c *collection) As(any) bool             { return false }
func (c *collection) ErrorAs(error, any) bool { return false }
func (c *collection) Close() error            { return nil }
