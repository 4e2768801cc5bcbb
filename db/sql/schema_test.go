package sql_test

import (
	dbsql "database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// TestHalfMadeTablesOfWordsAreMadeAgain has MySQL's table of words as it is when its
// maker died: without triggers, or with some, and with words that records had until
// others changed them.
func TestHalfMadeTablesOfWordsAreMadeAgain(t *testing.T) {
	leak.Check(t)
	raw := openRaw(t, "mysql")
	ns := "w" + strings.ReplaceAll(db.NewID(), "-", "")[22:]
	d, err := db.New(patient(sql.MySQL(records(t, servertest.SharedMariaDB(t))), db.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i, triggers := range []string{"", "$i", "$i $d", "$i $d $u"} {
		name := fmt.Sprint("things", i)
		tb, err := d.Table(t.Context(), name, db.FullText("note"))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"changed", "deleted"} {
			if err := tb.Create(t.Context(), &db.Record{ID: id, Metadata: map[string]any{"note": "old words"}}); err != nil {
				t.Fatal(err)
			}
		}
		words := "`" + ns + "__" + name + "$text$note`"
		exec(t, raw, "ALTER TABLE "+words+" COMMENT = ''")
		for _, end := range []string{"$i", "$d", "$u"} {
			if !strings.Contains(triggers, end) {
				exec(t, raw, "DROP TRIGGER "+strings.TrimSuffix(words, "`")+end+"`")
			}
		}
		if err := tb.Update(t.Context(), &db.Record{ID: "changed", Metadata: map[string]any{"note": "newer words"}}, db.Force()); err != nil {
			t.Fatal(err)
		}
		if err := tb.Delete(t.Context(), "deleted"); err != nil {
			t.Fatal(err)
		}
		if tb, err = d.Table(t.Context(), name, db.FullText("note")); err != nil {
			t.Fatal(err)
		}
		if err := tb.Create(t.Context(), &db.Record{ID: "later", Metadata: map[string]any{"note": "late words"}}); err != nil {
			t.Fatal(err)
		}
		for word, want := range map[string]string{"old": "", "newer": "changed", "late": "later", "words": "changed later"} {
			var ids []string
			for r, err := range tb.All(t.Context(), db.Where(db.Match("note", word))) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, r.ID)
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("left with the triggers %q: %q finds %q, want %q", triggers, word, got, want)
			}
		}
		var left int
		if err := raw.QueryRow("SELECT COUNT(*) FROM " + words + " WHERE id = 'deleted' OR w = 'old'").Scan(&left); err != nil || left != 0 {
			t.Errorf("left with the triggers %q: %d old words, %v", triggers, left, err)
		}
	}
}

// TestOpeningATableAsksLittle counts the questions that MySQL is asked for a table that
// is there: what the catalog says of it, whether it is there, and its indexes.
func TestOpeningATableAsksLittle(t *testing.T) {
	leak.Check(t)
	raw, err := dbsql.Open("mysql", records(t, servertest.SharedMariaDB(t))+"?clientFoundRows=true&interpolateParams=true")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetMaxOpenConns(1) // whose questions are counted
	d, err := db.New(patient(sql.On(enginesql.FromDB(enginesql.MySQL, raw)), db.WithNamespace("q"+strings.ReplaceAll(db.NewID(), "-", "")[22:]))...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	asked := func() (n int) {
		var name string
		if err := raw.QueryRow("SHOW SESSION STATUS LIKE 'Com_select'").Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, opts := range [][]db.TableOption{nil, {db.Index("a")}, {db.TTL(0)}} {
		if _, err := d.Table(t.Context(), "things", opts...); err != nil { // it is made
			t.Fatal(err)
		}
		before := asked()
		if _, err := d.Table(t.Context(), "things", opts...); err != nil {
			t.Fatal(err)
		}
		if n := asked() - before; n != 3 {
			t.Errorf("with %d options: %d questions, want 3", len(opts), n)
		}
	}
}
