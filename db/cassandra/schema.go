package cassandra

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// table is the statements of one table.
type table struct {
	rows, keys string // quoted names
	buckets    int

	get, look, stamp, insert, update, remove string
	enter, entered, leave, up, down          string
}

// schema is the version of what Ensure makes.
const schema = 1

// catalog has a row for each table. No name of a user ends in '_'.
const catalog = "db_tables_"

// catalogID is the id of a keyspace's catalog, so that nodes that make it at
// the same time make the same one.
func catalogID(keyspace string) gocql.UUID {
	h := sha256.Sum256([]byte(catalog + " " + keyspace))
	u := gocql.UUID(h[:16])
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80 // version 8 of RFC 9562
	return u
}

const maxBuckets = 64

// physical is a table's name in the keyspace, up to 40 bytes; Cassandra takes
// 48. Long ones get a hash, and no others have 40 bytes.
func physical(name string) string {
	if len(name) < 40 {
		return name
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("%.22s__%016x", name, h.Sum64())
}

func (d *driver) quote(name string) string { return `"` + d.c.keyspace + `"."` + name + `"` }

const columns = "id, stamp, version, created, updated, metadata, content_type, data"

func (d *driver) newTable(name string, buckets int) *table {
	t := &table{rows: d.quote(physical(name)), keys: d.quote(physical(name) + "_keys_"), buckets: buckets}
	t.get = "SELECT " + columns + " FROM " + t.rows + " WHERE id = ?"
	t.look = "SELECT " + strings.Replace(columns, ", data", "", 1) + " FROM " + t.rows + " WHERE id = ?"
	t.stamp = "SELECT stamp, version FROM " + t.rows + " WHERE id = ?"
	t.insert = "INSERT INTO " + t.rows + " (" + columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"
	t.update = "UPDATE " + t.rows + " SET stamp = ?, version = ?, updated = ?, metadata = ?, content_type = ?, data = ? WHERE id = ? IF stamp = ?"
	t.remove = "DELETE FROM " + t.rows + " WHERE id = ? IF stamp = ?"
	t.enter = "INSERT INTO " + t.keys + " (k, bucket, v, id, stamp) VALUES (?, ?, ?, ?, ?)"
	t.entered = "SELECT stamp FROM " + t.keys + " WHERE k = ? AND bucket = ? AND v = ? AND id = ? AND stamp = ?"
	t.leave = "DELETE FROM " + t.keys + " WHERE k = ? AND bucket = ? AND v = ? AND id = ? AND stamp = ?"
	t.up = "SELECT v, id, stamp FROM " + t.keys + " WHERE k = ? AND bucket = ? AND (v, id) >= (?, ?) AND (v, id) < (?, ?)"
	t.down = t.up + " ORDER BY v DESC, id DESC, stamp DESC LIMIT ?"
	t.up += " LIMIT ?"
	return t
}

// Ensure makes the table if it isn't there. All keys are indexed.
func (d *driver) Ensure(ctx context.Context, spec db.TableSpec) error {
	t, err := d.there(ctx, spec.Name)
	if err == nil && t == nil {
		t, err = d.create(ctx, spec.Name)
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tables[spec.Name] = t
	return nil
}

// there returns a table that is there as a whole, of a version that we know,
// or nil.
func (d *driver) there(ctx context.Context, name string) (*table, error) {
	var version, buckets int
	err := d.scan(ctx, []any{&version, &buckets}, "SELECT version, buckets FROM "+d.quote(catalog)+" WHERE name = ?", physical(name))
	switch {
	case errors.Is(err, gocql.ErrNotFound) || missing(err):
		return nil, nil
	case err != nil:
		return nil, readError(err)
	case version > schema:
		return nil, fault.Markf(fault.Unsupported, "made by a later version of this package: schema %d, want %d", version, schema)
	case version < 1 || buckets < 1 || buckets > maxBuckets:
		return nil, fault.Markf(fault.Unsupported, "made by something else: schema %d, %d buckets", version, buckets)
	}
	t := d.newTable(name, buckets)
	var id string
	for _, text := range []string{"SELECT id FROM " + t.rows + " WHERE id = 'x'", "SELECT k FROM " + t.keys + " WHERE k = 'x' AND bucket = 0 LIMIT 1"} {
		if err := d.scan(ctx, []any{&id}, text); missing(err) {
			return nil, nil
		} else if err != nil && !errors.Is(err, gocql.ErrNotFound) {
			return nil, readError(err)
		}
	}
	return t, nil
}

// scan reads one row.
func (d *driver) scan(ctx context.Context, to []any, text string, args ...any) error {
	q, err := d.query(ctx, text, args...)
	if err != nil {
		return err
	}
	return q.ScanContext(ctx, to...)
}

func (d *driver) create(ctx context.Context, name string) (*table, error) {
	select {
	case d.ensuring <- struct{}{}:
		defer func() { <-d.ensuring }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := d.makeCatalog(ctx); err != nil {
		return nil, err
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	t := d.newTable(name, d.c.buckets)
	for _, text := range []string{
		"CREATE TABLE IF NOT EXISTS " + t.rows + " (id text PRIMARY KEY, stamp uuid, version bigint, created bigint, updated bigint, metadata text, content_type text, data blob)",
		"CREATE TABLE IF NOT EXISTS " + t.keys + " (k text, bucket int, v blob, id blob, stamp uuid, PRIMARY KEY ((k, bucket), v, id, stamp))",
	} {
		if err := d.exec(ctx, text); err != nil {
			return nil, err
		}
	}
	// Whoever is first says how many buckets there are.
	insert := "INSERT INTO " + d.quote(catalog) + " (name, version, buckets) VALUES (?, ?, ?) IF NOT EXISTS"
	for n := 0; ; n++ {
		_, _, err := d.cas(ctx, insert, physical(name), schema, d.c.buckets)
		if err == nil {
			break
		}
		if !errors.Is(err, fault.UnknownOutcome) || backoff.Sleep(ctx, again.Wait(n)) != nil {
			return nil, err
		}
	}
	t, err = d.there(ctx, name)
	if err == nil && t == nil {
		err = fault.Markf(fault.Unavailable, "the table was made, and is gone")
	}
	return t, err
}

func (d *driver) exec(ctx context.Context, text string) error {
	q, err := d.query(ctx, text)
	if err != nil {
		return err
	}
	return writeError(q.ExecContext(ctx))
}

func (d *driver) makeCatalog(ctx context.Context) error {
	var n int
	err := d.scan(ctx, []any{&n}, "SELECT version FROM "+d.quote(catalog)+" WHERE name = ''")
	switch {
	case err == nil || errors.Is(err, gocql.ErrNotFound):
		return nil
	case !missing(err):
		if kind := new(gocql.RequestErrInvalid); !errors.As(err, &kind) {
			return readError(err)
		}
	}
	if d.c.copies > 0 {
		to := []string{fmt.Sprintf("'replication_factor': %d", d.c.copies)}
		if len(d.c.datacenters) > 0 {
			to = nil
		}
		for _, dc := range d.c.datacenters {
			to = append(to, fmt.Sprintf("'%s': %d", strings.ReplaceAll(dc, "'", "''"), d.c.copies))
		}
		text := `CREATE KEYSPACE IF NOT EXISTS "` + d.c.keyspace + `" WITH replication = {'class': 'NetworkTopologyStrategy', ` + strings.Join(to, ", ") + "}"
		if err := d.exec(ctx, text); err != nil {
			return err
		}
	}
	err = d.exec(ctx, "CREATE TABLE IF NOT EXISTS "+d.quote(catalog)+" (name text PRIMARY KEY, version int, buckets int, holder uuid) WITH ID = "+catalogID(d.c.keyspace).String())
	if missing(err) {
		return fault.Markf(fault.Invalid, "keyspace %q isn't there, and WithCreate was not given: %w", d.c.keyspace, err)
	}
	return err
}

// migration is the catalog's row that whoever makes a table holds: nodes that
// make the same table at the same time make two.
const (
	migration     = "@migration"
	migrationTime = time.Minute // after which a holder that died has let go
)

// lock waits for the migration lock. unlock releases it.
func (d *driver) lock(ctx context.Context) (unlock func(), err error) {
	holder, err := gocql.ParseUUID(db.NewID())
	if err != nil {
		return nil, err
	}
	take := fmt.Sprintf("INSERT INTO %s (name, holder) VALUES (?, ?) IF NOT EXISTS USING TTL %d", d.quote(catalog), int(migrationTime.Seconds()))
	unlock = func() { // also when ctx has ended
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, _, err := d.cas(ctx, "DELETE FROM "+d.quote(catalog)+" WHERE name = ? IF holder = ?", migration, holder); err != nil {
			d.c.log.Warn("cassandra: the lock for making tables stays for a minute", "error", err)
		}
	}
	wait := backoff.Policy{Min: 20 * time.Millisecond, Max: 500 * time.Millisecond}
	unknown := false // whether we hold it
	for n := 0; ; n++ {
		held, stored, err := d.cas(ctx, take, migration, holder)
		unknown = unknown || errors.Is(err, fault.UnknownOutcome)
		switch {
		case held || err == nil && stored["holder"] == holder: // of an attempt whose outcome was unknown
			return unlock, nil
		case err != nil && !unknown:
			return nil, err
		}
		if e := backoff.Sleep(ctx, wait.Wait(n)); e != nil {
			if unknown {
				unlock()
			}
			return nil, fault.Markf(fault.Unavailable, "the lock for making tables is held by another: %w", errors.Join(e, err))
		}
	}
}
