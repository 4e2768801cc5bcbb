package sql_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func open(t *testing.T, backend discovery.Option, opts ...discovery.Option) discovery.Discovery {
	t.Helper()
	d, err := discovery.New(append(opts, backend)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func register(t *testing.T, d discovery.Discovery, id string, opts ...discovery.RegisterOption) discovery.Registration {
	t.Helper()
	r, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: id, Address: "127.0.0.1:80"}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func has(ids string) func(s discovery.Snapshot) bool {
	return func(s discovery.Snapshot) bool {
		return s.State == discovery.Live && s.Preserved+s.Unconfirmed == 0 && backendtest.IDs(s) == ids
	}
}

// file opens a SQLite file beside the registry.
func file(t *testing.T) (name string, db *dbsql.DB) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "registry.db")
	db, err := dbsql.Open("sqlite", "file:"+name+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return name, db
}

// A heartbeat is one statement for all instances of a process.
func manyShareHeartbeats(t *testing.T, e engine, s *servertest.Server) {
	p := netfault.New(t, s.Addr())
	const ttl, instances, ttls = 6 * time.Second, 60, 2
	d := open(t, e.open(p.Addr()), discovery.WithNamespace("heartbeats"), discovery.WithTTL(ttl))
	all := make([]discovery.Registration, instances)
	for i := range all {
		all[i] = register(t, d, fmt.Sprintf("i-%02d", i))
	}
	before, began := p.Counts().Requests, time.Now()
	<-time.After(ttls * ttl)
	sent := p.Counts().Requests - before
	took := int(time.Since(began)/ttl) + 1 // more on a busy machine
	// Four in a TTL; each alone would be 150.
	if sent < ttls || sent > 6*took {
		t.Errorf("%d packets in %d TTLs, want about %d", sent, ttls, 4*ttls)
	}
	for _, r := range all {
		for end := time.Now().Add(backendtest.Patience); r.Err() != nil; <-time.After(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(r.Err())
			}
		}
	}
	backendtest.Await(t, d, "all", backendtest.Patience, func(s discovery.Snapshot) bool { return len(s.Instances) == instances })
}

// A row that somebody deletes, or takes over, is noticed by the next heartbeat,
// and the others of the process are not touched.
func TestADeletedRowComesBack(t *testing.T) {
	t.Parallel()
	name, db := file(t)
	d := open(t, sql.SQLite(name), discovery.WithTTL(3*time.Second))
	a, b := register(t, d, "a"), register(t, d, "b")
	backendtest.Await(t, d, "both", backendtest.Patience, has("a b"))
	lease := func(id string) (lease string) {
		t.Helper()
		err := db.QueryRow("SELECT lease FROM discovery_instances WHERE id = ?", id).Scan(&lease)
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	before := lease("b")
	if before != lease("a") {
		t.Error("two instances of one TTL have two leases")
	}
	_, err := db.Exec("DELETE FROM discovery_instances WHERE id = 'a'")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("UPDATE discovery_stripes SET seq = seq + 1") // so that readers look
	if err != nil {
		t.Fatal(err)
	}
	reader := open(t, sql.SQLite(name))
	backendtest.Await(t, reader, "both again", backendtest.Patience, has("a b"))
	if lease("b") != before || a.Err() != nil || b.Err() != nil {
		t.Errorf("the lease changed: %t; %v, %v", lease("b") != before, a.Err(), b.Err())
	}
}

// What is over for long is removed, and what lives or left just now isn't.
func TestOldRowsAreRemoved(t *testing.T) {
	t.Parallel()
	name, db := file(t)
	d := open(t, sql.SQLite(name))
	for _, id := range []string{"lives", "left", "left-long-ago", "dead", "dead-long-ago"} {
		register(t, d, id, discovery.TTL(time.Minute), discovery.NoHeartbeat())
	}
	for _, s := range []string{
		"UPDATE discovery_instances SET gone = CAST(unixepoch('subsec') * 1000 AS INTEGER) - 580000 WHERE id = 'left'",
		"UPDATE discovery_instances SET gone = CAST(unixepoch('subsec') * 1000 AS INTEGER) - 620000 WHERE id = 'left-long-ago'",
		"UPDATE discovery_leases SET until = CAST(unixepoch('subsec') * 1000 AS INTEGER) - 580000 WHERE id = (SELECT lease FROM discovery_instances WHERE id = 'dead')",
		"UPDATE discovery_leases SET until = CAST(unixepoch('subsec') * 1000 AS INTEGER) - 620000 WHERE id = (SELECT lease FROM discovery_instances WHERE id = 'dead-long-ago')",
	} {
		_, err := db.Exec(s)
		if err != nil {
			t.Fatal(err)
		}
	}
	err := sql.CleanOld(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var left string
	err = db.QueryRow("SELECT group_concat(id, ' ') FROM (SELECT id FROM discovery_instances ORDER BY id)").Scan(&left)
	if want := "dead left lives"; err != nil || left != want {
		t.Errorf("left are %q, %v, want %q", left, err, want)
	}
}

// A database that notifies does so through the one connection that is left to it,
// and without one the others are asked.
func TestOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	s := servertest.SharedPostgres(t)
	ns := discovery.WithNamespace(servertest.Namespace(t))
	d := open(t, sql.On(limited(t, s.DSN(), enginesql.WithMaxConns(1))), ns)
	reader := open(t, sql.On(limited(t, s.DSN(), enginesql.WithMaxConns(1))), ns)
	backendtest.Await(t, reader, "nothing", backendtest.Patience, has(""))
	r := register(t, d, "a")
	backendtest.Await(t, reader, "a", backendtest.Patience, has("a"))
	err := r.Deregister(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	backendtest.Await(t, reader, "nothing again", backendtest.Patience, has(""))
}

func TestBadInput(t *testing.T) {
	for what, o := range map[string]discovery.Option{
		"no file":        sql.SQLite(""),
		"no address":     sql.Postgres(""),
		"no database":    sql.MySQL("mysql://h/"),
		"an odd address": sql.MySQL("h:1:2"),
		"no engine":      sql.On(nil),
		"no dialect":     sql.On(enginesql.FromDB(0, &dbsql.DB{})),
		"no handle":      sql.On(enginesql.FromDB(enginesql.SQLite, nil)),
	} {
		_, err := discovery.New(o, discovery.WithLazy())
		if !errors.Is(err, discovery.ErrInvalid) || !strings.Contains(err.Error(), "discovery/") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// An instance that could not say goodbye goes with its TTL, also if others of
// its process stay, whose heartbeats renew the same lease.
func aFailedGoodbyeStillEnds(t *testing.T, e engine, s *servertest.Server) {
	p := netfault.New(t, s.Addr())
	ttl, ns := e.backend().TTL, discovery.WithNamespace("goodbye")
	d, reader := open(t, e.open(p.Addr()), ns, discovery.WithTTL(ttl)), open(t, e.open(s.Addr()), ns)
	var leaves discovery.Registration
	for _, id := range []string{"a", "b", "c", "d"} {
		leaves = register(t, d, id)
	}
	backendtest.Await(t, reader, "all", backendtest.Patience, has("a b c d"))
	p.Hold(netfault.Both)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := leaves.Deregister(ctx)
	if err == nil {
		t.Fatal("a goodbye that nobody heard")
	}
	p.Reset() // the goodbye is lost
	p.Heal()
	backendtest.Await(t, reader, "a, b and c", backendtest.Patience, has("a b c"))
}

// limited opens an engine for the test.
func limited(t *testing.T, addr string, opts ...enginesql.Option) *enginesql.Engine {
	t.Helper()
	e, err := enginesql.Open(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}
