//go:build unix

package servertest

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestNothingOutlivesAKilledTest(t *testing.T) {
	if err := installed(redis("redis", options{})); err != nil {
		missing(t, "redis", "debian", err)
	}
	p := Child(t, "orphans")
	fields := strings.Fields(p.Line())
	p.Kill()
	for _, pid := range fields[:3] {
		eventually(t, "server "+pid+" has ended", func() bool { return ended(t, pid) })
	}
	eventually(t, "the folder is gone", func() bool {
		_, err := os.Stat(fields[3])
		return errors.Is(err, os.ErrNotExist)
	})
}

func ended(t *testing.T, pid string) bool {
	t.Helper()
	number, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	return gone(number)
}

func TestSweepRemovesWhatNobodyHolds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	held, left := filepath.Join(os.TempDir(), "go-platform-servers-held"), filepath.Join(os.TempDir(), "go-platform-servers-left")
	for _, dir := range []string{held, left} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		lock, err := lockFile(filepath.Join(dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		if dir == held {
			defer lock.Close()
		} else {
			lock.Close()
		}
	}
	sweep()
	if _, err := os.Stat(held); err != nil {
		t.Errorf("the folder of a living process: %v", err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a dead process: got %v, want it gone", err)
	}
}

// A process that has ended leaves its servers to its watchdog, which a busy machine lets begin
// late: who swept the folder away meanwhile left the servers running.
func TestSweepLeavesAFolderToItsWatchdog(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(os.TempDir(), "go-platform-servers-ended")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	wake, err := watchdog(dir, lock)
	if err != nil {
		t.Fatal(err)
	}
	lock.Close() // as the end of the process does
	sweep()
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the folder of servers that run: %v", err)
	}
	wake.Close()
	eventually(t, "the watchdog has removed it", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestMissingServer(t *testing.T) {
	t.Setenv("GO_PLATFORM_SERVERS", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	t.Setenv("REQUIRE_SERVERS", "")
	boot := func(t testing.TB) {
		start(t, options{}, spec{name: "nosuch", part: "debian", program: "nosuch-server"})
	}
	r := outcome(boot)
	if !r.skipped || r.failed {
		t.Errorf("got skipped %v, failed %v; want it skipped", r.skipped, r.failed)
	}
	for _, want := range []string{"nosuch is not installed", "nosuch-server", "make servers", "scripts/servers debian"} {
		if !strings.Contains(r.message, want) {
			t.Errorf("got %q, want it to say %q", r.message, want)
		}
	}
	t.Setenv("REQUIRE_SERVERS", "1")
	if r := outcome(boot); !r.failed || r.skipped {
		t.Errorf("where servers are required: got skipped %v, failed %v; want it failed", r.skipped, r.failed)
	}
}

// shell is a server made of a shell command.
func shell(script string) spec {
	return spec{
		name: "shell", program: "sh", ports: []string{"port"},
		args:  func(s *Server) []string { return []string{"-c", script, "sh", s.dir} },
		ready: says("up"),
	}
}

func TestStartTriesOtherPorts(t *testing.T) {
	tries := filepath.Join(t.TempDir(), "tries")
	s := start(t, options{}, shell("echo >> "+tries+"; [ $(wc -l < "+tries+") = 3 ] || exit 1; echo up; exec sleep 60"))
	if !s.Running() {
		t.Error("the third try doesn't run")
	}
	b, err := os.ReadFile(tries)
	if got := strings.Count(string(b), "\n"); err != nil || got != 3 {
		t.Errorf("got %d tries, %v; want 3", got, err)
	}
}

func TestStartShowsTheLog(t *testing.T) {
	r := outcome(func(t testing.TB) { start(t, options{}, shell("echo out of luck; exit 3")) })
	for _, want := range []string{"shell ended before it was ready", "exit status 3", "out of luck"} {
		if !strings.Contains(r.message, want) {
			t.Errorf("got %q, want it to say %q", r.message, want)
		}
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	s := start(t, options{}, shell("trap '' TERM; echo up; while :; do sleep 0.01; done"))
	s.terminate(sigTerm, 0)
	if s.Running() {
		t.Error("it still runs")
	}
}

func TestKillTakesTheWholeTree(t *testing.T) {
	s := start(t, options{}, shell("sleep 60 & echo $! > $1/child; echo up; wait"))
	child := s.Lines("child")[0]
	s.Kill()
	eventually(t, "the server's child has ended", func() bool { return ended(t, child) })
}

func TestReadinessIsThisStarts(t *testing.T) {
	s := start(t, options{}, shell("[ -e $1/second ] && sleep 0.1; echo up; touch $1/second; exec sleep 60"))
	s.Restart()
	if got := strings.Count(s.Log(), "up\n"); got != 2 {
		t.Errorf("Restart returned when the server had become ready %d times, want 2", got)
	}
}

func TestSharedServersCannotBeHurt(t *testing.T) {
	s := SharedRedis(t)
	for name, method := range map[string]func(){"Pause": s.Pause, "Resume": s.Resume, "Kill": s.Kill, "Stop": s.Stop, "Restart": s.Restart} {
		func() {
			defer func() {
				if got := recover(); got == nil {
					t.Errorf("%s of a shared server didn't panic", name)
				}
			}()
			method()
		}()
	}
	if !s.Running() {
		t.Error("the shared server has ended")
	}
}

func TestDeadSharedServerFailsTests(t *testing.T) {
	boot := func(t testing.TB, opts ...Option) *Server {
		return start(t, collect(opts), shell("echo up; exec sleep 60"))
	}
	s := share(t, "mortal", boot)
	s.kill()
	r := outcome(func(t testing.TB) { share(t, "mortal", boot) })
	if want := "the shared shell has ended: killed"; !strings.Contains(r.message, want) {
		t.Errorf("got %q, want it to say %q", r.message, want)
	}
	s.discard()
}

func TestPortsAreReserved(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		n := Port(t)
		if seen[n] {
			t.Fatalf("port %d was given twice", n)
		}
		seen[n] = true
		if n < firstPort || n > lastPort {
			t.Errorf("got port %d, want one from %d to %d", n, firstPort, lastPort)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n := l.Addr().(*net.TCPAddr).Port; free(n) {
		t.Errorf("port %d, which is listened on, counts as free", n)
	}
}

func TestNamespacesDiffer(t *testing.T) {
	a, b := Namespace(t), Namespace(t)
	if a == b {
		t.Errorf("got %q twice", a)
	}
	t.Run(strings.Repeat("Long Name/", 10), func(t *testing.T) {
		if got := Namespace(t); len(got) > 40 || strings.ContainsAny(got, "/ L") {
			t.Errorf("got %q, want at most 40 lower-case letters, digits and dashes", got)
		}
	})
}

func TestScriptListsEveryPart(t *testing.T) {
	out, err := exec.Command("../../scripts/servers", "-l").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, part := range []string{"debian", "browser", "rabbitmq", "go", "telegraf", "consul", "node", "zipkin", "cassandra", "opensearch", "elasticsearch", "kubernetes"} {
		if !strings.Contains(string(out), "\n"+part+" ") && !strings.HasPrefix(string(out), part+" ") {
			t.Errorf("scripts/servers -l doesn't list %s:\n%s", part, out)
		}
	}
	if !strings.Contains(string(out), Cache()) {
		t.Errorf("scripts/servers installs elsewhere than in %s:\n%s", Cache(), out)
	}
}
