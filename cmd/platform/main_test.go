package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// asProgram makes the test binary the program itself: what runs in the tests is a
// process of its own, compiled with the tests.
const asProgram = "PLATFORM_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	leak.Main(m)
}

// shell runs command lines in bash, in an empty directory, with nothing in the
// environment but what a test sets.
type shell struct {
	t    *testing.T
	dir  string
	env  []string
	page string // of the process that the examples look at
}

func newShell(t *testing.T, env ...string) *shell {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, "platform")); err != nil {
		t.Fatal(err)
	}
	return &shell{t: t, dir: dir, env: append([]string{asProgram + "=1", "GORACE=atexit_sleep_ms=0", "PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "USER=ann"}, env...)}
}

func (s *shell) command(line string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute) // what hangs fails
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.dir, s.env, 5*time.Second
	return cmd
}

// result is what a command line has come to.
type result struct {
	out, err string
	code     int
}

func (s *shell) run(line string) result {
	s.t.Helper()
	var out, stderr bytes.Buffer
	cmd := s.command(line)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	return result{code: exitCode(s.t, cmd.Run()), out: out.String(), err: stderr.String()}
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e == nil {
		return 0
	}
	return e.ExitCode()
}

// step is a command line and what it has to come to. The texts are whole, but for
// "…", which stands for anything.
type step struct {
	line string
	out  string
	err  string
	code int
}

func (s *shell) steps(steps []step) {
	s.t.Helper()
	for _, step := range steps {
		r := s.run(step.line)
		if !matches(r.out, step.out) || !matches(r.err, step.err) || r.code != step.code {
			s.t.Errorf("%s\ngot  exit %d\n%s%swant exit %d\n%s%s", step.line, r.code, shown("out", r.out), shown("err", r.err), step.code, shown("out", step.out), shown("err", step.err))
		}
	}
}

func shown(name, s string) string { return fmt.Sprintf("     %s %q\n", name, s) }

// matches reports whether got is want.
func matches(got, want string) bool {
	parts := strings.Split(want, "…")
	if !strings.HasPrefix(got, parts[0]) {
		return false
	}
	got = got[len(parts[0]):]
	for i, p := range parts[1:] {
		if i == len(parts)-2 {
			return strings.HasSuffix(got, p)
		}
		at := strings.Index(got, p)
		if at < 0 {
			return false
		}
		got = got[at+len(p):]
	}
	return got == ""
}

// following is a command line that goes on until it is interrupted.
type following struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err *output
}

func (s *shell) follow(line string) *following {
	s.t.Helper()
	f := &following{s.t, s.command("exec " + line), &output{}, &output{}}
	f.cmd.Stdout, f.cmd.Stderr = f.out, f.err
	if err := f.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return f
}

// await waits until the output matches.
func (f *following) await(out string) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !matches(f.out.String(), out); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("got %q, %q, want %q", f.out, f.err, out)
		}
	}
}

// interrupt is Ctrl-C: it has to end with 0.
func (f *following) interrupt() {
	f.t.Helper()
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		f.t.Error(err)
	}
	if code := exitCode(f.t, f.cmd.Wait()); code != 0 {
		f.t.Errorf("%s: got exit %d, %q, want 0", f.cmd.Args[2], code, f.err)
	}
}

// engines are the addresses of real servers.
func engines(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"redis":    "redis://" + servertest.SharedRedis(t).Addr(),
		"etcd":     "etcd://" + servertest.SharedEtcd(t).Addr(),
		"consul":   "consul://" + servertest.SharedConsul(t).Addr(),
		"postgres": servertest.SharedPostgres(t).DSN(),
		"mysql":    "mysql://root@" + servertest.SharedMariaDB(t).Addr() + "/mysql",
		"sqlite":   "sqlite:" + filepath.Join(t.TempDir(), "x.db"),
	}
}

// backend returns the option of the backend at an address, on an engine that lives
// as long as the test.
func backend[O any](t *testing.T, url string, known ...func(*engine.Choice) O) []O {
	t.Helper()
	set := &engine.Set{}
	t.Cleanup(func() { set.Close() })
	opts, err := engine.Options(set, url, known...)
	if err != nil {
		t.Fatal(err)
	}
	return opts
}
