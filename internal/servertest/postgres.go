package servertest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Postgres starts a PostgreSQL server: user postgres, no password, database postgres.
// [Server.DSN] is its URL. It keeps its data over Restart.
func Postgres(t testing.TB, opts ...Option) *Server {
	t.Helper()
	if _, err := find("initdb"); err != nil {
		missing(t, "PostgreSQL", "debian", err)
	}
	return start(t, collect(opts), spec{
		name: "postgres", part: "debian", program: "postgres", ports: []string{"postgres"}, dsn: "postgres://postgres@%s/postgres?sslmode=disable",
		user:    "postgres nobody", // it refuses root
		stop:    sigInt,            // SIGTERM waits for clients
		kept:    true,
		prepare: initPostgres,
		args: func(s *Server) []string {
			return []string{"-D", s.dir + "/data", "-p", strconv.Itoa(s.Port("postgres")), "-c", "listen_addresses=127.0.0.1",
				"-c", "unix_socket_directories=" + s.dir, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"}
		},
		ready: func(s *Server) error {
			path, err := find("pg_isready")
			if err != nil {
				return err
			}
			return run(s.dir, path, "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port("postgres")))
		},
	})
}

// SharedPostgres returns the test binary's PostgreSQL server.
func SharedPostgres(t testing.TB) *Server {
	t.Helper()
	return share(t, "postgres", Postgres)
}

// initPostgres makes the data folder.
func initPostgres(s *Server) error {
	path, err := find("initdb")
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	args := []string{"-D", data, "-U", "postgres", "-A", "trust", "-N", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8"}
	if err := prepared(data, path, args, func() error { return runInitdb(s, path, data, args) }); err != nil {
		return err
	}
	if err := os.Chmod(data, 0o700); err != nil { // or else it refuses it
		return err
	}
	return give(s.spec.user, data)
}

// runInitdb is a process of its own, since initdb refuses root too.
func runInitdb(s *Server, path, data string, args []string) error {
	p := process{name: "initdb", dir: filepath.Join(s.dir, "initdb")}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	return p.finish(command{path: path, args: args, env: libraries(path), user: s.spec.user, owns: []string{data, s.dir}})
}
