package sql_test

import (
	dbsql "database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// engine is a database as the tests use it.
type engine struct {
	server func(t testing.TB, o ...servertest.Option) *servertest.Server
	open   func(addr string) discovery.Option // of the server, or of a proxy before it
	driver string                             // of database/sql
	args   []string
}

var mysql = engine{
	server: servertest.MariaDB,
	open:   func(addr string) discovery.Option { return sql.MySQL("mysql://root@" + addr + "/mysql") },
	driver: "mysql",
	args:   []string{"--innodb-flush-log-at-trx-commit=2", "--max-connections=500"},
}

var postgres = engine{
	server: servertest.Postgres,
	open: func(addr string) discovery.Option {
		return sql.Postgres("postgres://postgres@" + addr + "/postgres?sslmode=disable")
	},
	driver: "pgx",
	args:   []string{"-c", "max_connections=500"},
}

func (e engine) backend() backendtest.Backend {
	return backendtest.Backend{
		Open: e.open,
		Name: e.driver,
		Poll: 5 * time.Second,
		TTL:  3 * time.Second, // a second is too short for a busy machine
		// The pause between two questions, and 5 s for the answer.
		Silence: 12 * time.Second,
		// The questions of the process, and the sign of life.
		Idle: func(int) int { return 30 },
	}
}

func TestMain(m *testing.M) { backendtest.Main(m, mysql.backend(), postgres.backend()) }

// run runs all tests of an engine: on one server, but for those that take it down.
func (e engine) run(t *testing.T) {
	t.Parallel()
	start := func(t testing.TB) *servertest.Server { return e.server(t, servertest.WithArgs(e.args...)) }
	s := start(t)
	for name, test := range map[string]func(t *testing.T){
		"contract": func(t *testing.T) { discoverytest.Run(t, e.harness(s, start)) },
		"faults": func(t *testing.T) {
			e.backend().Run(t, func(t testing.TB) string {
				if strings.Contains(t.Name(), "idle") { // others would notify it
					return start(t).Addr()
				}
				return s.Addr()
			})
		},
		"heartbeats": func(t *testing.T) { manyShareHeartbeats(t, e, s) },
		"goodbye":    func(t *testing.T) { aFailedGoodbyeStillEnds(t, e, s) },
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
	}
}

func (e engine) harness(shared *servertest.Server, start func(testing.TB) *servertest.Server) discoverytest.Harness {
	return discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			return discoverytest.Env{Backend: func() discovery.Option { return e.open(shared.Addr()) }}
		},
		Own: func(t *testing.T) discoverytest.Env {
			s := start(t)
			return discoverytest.Env{
				Backend: func() discovery.Option { return e.open(s.Addr()) },
				Down:    s.Kill, Up: s.Restart, Pause: s.Pause, Go: s.Resume,
				Wipe: func() { e.wipe(t, s) },
			}
		},
		TTL: e.backend().TTL,
	}
}

// wipe removes the tables while the server runs.
func (e engine) wipe(t *testing.T, s *servertest.Server) {
	dsn := s.DSN()
	if e.driver == "mysql" {
		dsn += "mysql"
	}
	db, err := dbsql.Open(e.driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"discovery_instances", "discovery_leases", "discovery_stripes"} {
		_, err := db.Exec("DROP TABLE " + table)
		if err != nil {
			t.Error(err)
		}
	}
}

// Not beside the servers: it shares the disk with them, which may stop for a while.
func TestSQLite(t *testing.T) {
	dir := t.TempDir()
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			file := filepath.Join(dir, filepath.Base(t.Name())+".db") // it has one writer at a time
			return discoverytest.Env{Backend: func() discovery.Option { return sql.SQLite(file) }}
		},
		TTL: 3 * time.Second,
	})
}

func TestMySQL(t *testing.T)    { mysql.run(t) }
func TestPostgres(t *testing.T) { postgres.run(t) }

func TestChaos(t *testing.T) {
	for name, e := range map[string]engine{"mysql": mysql, "postgres": postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.backend().Chaos(t, e.server(t, servertest.WithArgs(e.args...)))
		})
	}
}
