package sql_test

import (
	dbsql "database/sql"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/sql"
)

// number is what a query for one number finds.
func number(t *testing.T, db *dbsql.DB, query string) (n int) {
	t.Helper()
	err := db.QueryRow(query).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * backendtest.Patience); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Readers look again whenever something is written of a service. So heartbeats write
// nothing of it, nor does the goodbye of who has lost the id.
func TestNothingIsWrittenInVain(t *testing.T) {
	t.Parallel()
	name, db := file(t)
	d, other := open(t, sql.SQLite(name), discovery.WithTTL(20*time.Second)), open(t, sql.SQLite(name), discovery.WithTTL(time.Minute))
	r := register(t, d, "a", discovery.TTL(2*time.Second))
	writes := func() int { t.Helper(); return number(t, db, "SELECT SUM(seq) FROM discovery_stripes") }
	before, since := 0, time.Now()
	eventually(t, "three heartbeats that write nothing", func() bool {
		if n := writes(); n != before { // again on a busy machine, where one comes late
			before, since = n, time.Now()
		}
		beats := r.Heartbeats()
		return len(beats) >= 3 && beats[len(beats)-3].At.After(since)
	})

	register(t, other, "a", discovery.Replace())
	eventually(t, "the first has lost the id", func() bool { return errors.Is(r.Err(), discovery.ErrExists) })
	before = writes()
	err := r.Deregister(t.Context())
	if n := writes(); err != nil || n != before {
		t.Errorf("the goodbye of who has lost the id: %v, written %d times", err, n-before)
	}
	backendtest.Await(t, open(t, sql.SQLite(name)), "a", backendtest.Patience, has("a"))
}

// A reader that hears nothing is told at times that nothing has changed.
func TestAQuietServiceIsConfirmed(t *testing.T) {
	t.Parallel()
	name, _ := file(t)
	d := open(t, sql.SQLite(name))
	last := backendtest.Await(t, d, "nothing", backendtest.Patience, has(""))
	eventually(t, "a confirmation of what was there", func() bool {
		s, _ := d.Lookup("s")
		if s.Revision != last.Revision { // on a busy machine it was lost sight of
			last = s
		}
		return s.AsOf.After(last.AsOf)
	})
}

// What is old is removed behind a registration, once in a minute.
func TestOldRowsAreRemovedBehindARegistration(t *testing.T) {
	t.Parallel()
	name, db := file(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := discovery.New(sql.SQLite(name))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		add := func(id string) {
			t.Helper()
			register(t, d, id, discovery.NoHeartbeat(), discovery.TTL(time.Hour))
			synctest.Wait()
		}
		add("old")
		_, err = db.Exec("UPDATE discovery_instances SET gone = CAST(unixepoch('subsec') * 1000 AS INTEGER) - 620000 WHERE id = 'old'")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			id    string
			after time.Duration
			left  int
		}{{"early", 59 * time.Second, 1}, {"late", 2 * time.Second, 0}} {
			time.Sleep(c.after)
			add(c.id)
			if n := number(t, db, "SELECT COUNT(*) FROM discovery_instances WHERE id = 'old'"); n != c.left {
				t.Errorf("%s: %d old rows, want %d", c.id, n, c.left)
			}
		}
		if n := number(t, db, "SELECT COUNT(*) FROM discovery_instances"); n != 2 {
			t.Errorf("%d rows, want the two that live", n)
		}
	})
}
