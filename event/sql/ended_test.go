package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// A transaction that is rolled back because its caller gave up says so, also where that
// is seen no earlier than at its commit, and nothing of it is there.
func TestATransactionThatItsCallerGaveUp(t *testing.T) {
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d := &driver{db: db, kind: sql.SQLite}
	if _, err := db.Exec("CREATE TABLE made (n INT)"); err != nil {
		t.Fatal(err)
	}
	for name, after := range map[string]func(tx *tx) error{
		"at the commit":     func(*tx) error { return nil },
		"at a statement":    func(tx *tx) error { _, err := tx.exec(t.Context(), "INSERT INTO made VALUES (2)"); return err },
		"not by the caller": nil,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		err := d.once(ctx, func(tx *tx) error {
			if _, err := tx.exec(ctx, "INSERT INTO made VALUES (1)"); err != nil {
				return err
			}
			if after == nil {
				return tx.Rollback()
			}
			cancel()
			for !errors.Is(tx.Rollback(), dbsql.ErrTxDone) {
			}
			return after(tx)
		})
		cancel()
		if after == nil {
			if !errors.Is(err, fault.Unavailable) || errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want unavailable", name, err)
			}
		} else if !errors.Is(err, context.Canceled) || errors.Is(err, fault.UnknownOutcome) {
			t.Errorf("%s: %v, want context.Canceled alone", name, err)
		}
	}
	n := 0
	if err := db.QueryRow("SELECT COUNT(*) FROM made").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows, %v, want none", n, err)
	}
}
