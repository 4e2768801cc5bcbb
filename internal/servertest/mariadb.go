package servertest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// MariaDB starts a MariaDB server, for MySQL clients: user root, no password, no database but
// the system's. [Server.DSN] is for go-sql-driver/mysql. It keeps its data over Restart. Its
// time zone sets clocks back in October, since UTC hides what that does.
func MariaDB(t testing.TB, opts ...Option) *Server {
	t.Helper()
	if _, err := find("mariadb-install-db"); err != nil {
		missing(t, "MariaDB", "debian", err)
	}
	return start(t, collect(opts), spec{
		name: "mariadb", part: "debian", program: "mariadbd", ports: []string{"mysql"}, dsn: "root@tcp(%s)/",
		env:     []string{"TZ=CET-1CEST,M3.5.0,M10.5.0/3"},
		prepare: installMariaDB,
		args: func(s *Server) []string {
			return append(mariaDBFlags(s, "mariadbd"),
				"--bind-address=127.0.0.1", "--port="+strconv.Itoa(s.Port("mysql")), "--socket="+s.dir+"/socket", "--pid-file="+s.dir+"/mariadbd.pid",
				"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-buffer-pool-size=32M", "--performance-schema=OFF")
		},
		ready: says("ready for connections"), kept: true,
	})
}

// SharedMariaDB returns the test binary's MariaDB server.
func SharedMariaDB(t testing.TB) *Server {
	t.Helper()
	return share(t, "mariadb", MariaDB)
}

// mariaDBFlags returns the flags that both mariadbd and mariadb-install-db need. Whichever begins
// removes the temporary tables that it finds, which in /tmp would be those of others.
func mariaDBFlags(s *Server, program string) []string {
	flags := []string{"--no-defaults", "--datadir=" + s.dir + "/data", "--tmpdir=" + s.dir, "--user=" + userName(), "--skip-name-resolve", "--innodb-log-file-size=8M"}
	if path, _ := find(program); root(path) != "" {
		flags = append(flags, "--basedir="+root(path))
	}
	return flags
}

func installMariaDB(s *Server) error {
	path, err := find("mariadb-install-db")
	if err != nil {
		return err
	}
	// --no-defaults has to come first.
	args := append(mariaDBFlags(s, "mariadb-install-db"), "--auth-root-authentication-method=normal", "--skip-test-db")
	return prepared(filepath.Join(s.dir, "data"), path, args, func() error { return run(s.dir, path, args...) })
}

// run executes a program to its end.
func run(dir, path string, args ...string) error {
	c := exec.Command(path, args...)
	c.Dir = dir
	c.Env = append(c.Environ(), libraries(path)...)
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, strings.TrimSpace(string(out)))
	}
	return nil
}
