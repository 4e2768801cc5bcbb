package sql

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
)

// Rows that have been dead for long enough are removed, no others, and what
// watches need to know of them stays.
func TestClean(t *testing.T) {
	for name, c := range map[string]sql.Config{
		"sqlite":   {Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "kv.db")},
		"mysql":    {Kind: sql.MySQL, Address: servertest.MariaDB(t).DSN() + "mysql"},
		"postgres": {Kind: sql.Postgres, Address: servertest.Postgres(t).DSN()},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := sql.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			d := newDriver(db)
			defer d.Close()
			ctx := t.Context()
			var last kv.Revision
			for i := range 5 {
				for what, ttl := range map[string]time.Duration{"deleted": 0, "expired": time.Millisecond, "lives": time.Hour, "stays": 0} {
					if last, err = d.Put(ctx, kv.Write{Key: fmt.Sprint(what, i), Value: []byte("v"), TTL: ttl}); err != nil {
						t.Fatal(err)
					}
				}
				if err := d.Delete(ctx, fmt.Sprint("deleted", i), 0); err != nil {
					t.Fatal(err)
				}
			}
			for _, step := range []struct {
				keep          time.Duration
				most          int
				removed, left int
			}{
				{time.Hour, 100, 0, 20}, // dead, but not for long
				{-time.Second, 4, 4, 16},
				{-time.Second, 100, 6, 10},
				{-time.Second, 100, 0, 10},
			} {
				n, err := d.cleanSome(ctx, step.keep, step.most)
				if err != nil || n != step.removed {
					t.Errorf("older than %v: %d rows removed, %v, want %d", step.keep, n, err, step.removed)
				}
				if left := d.rows(t, ctx); left != step.left {
					t.Errorf("%d rows are left, want %d", left, step.left)
				}
			}
			now, err := d.ask(ctx)
			if err != nil || now.cleaned == 0 || now.cleaned > int64(last)+1 || now.rev < int64(last) {
				t.Errorf("%+v, %v: no trace of what was removed, up to %d", now, err, last)
			}
			items := 0
			for _, err := range d.List(ctx, "", "") {
				if err != nil {
					t.Fatal(err)
				}
				items++
			}
			if items != 10 {
				t.Errorf("%d items, want 10", items)
			}
		})
	}
}

func (d *driver) rows(t *testing.T, ctx context.Context) (n int) {
	t.Helper()
	if err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM kv_items").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
