package servertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// roleEnv names what a child process has to do.
const roleEnv = "GO_PLATFORM_TEST_ROLE"

// A Role is what a child process does. What it prints is read by [Process.Line], what is sent by
// [Process.Send] it reads from standard input; its error output is the process's log.
type Role func(args []string) error

// RunRole executes the role that this process was started for by [Child], and does not return
// then. In the test itself it does nothing. It is called first in TestMain:
//
//	func TestMain(m *testing.M) {
//		servertest.RunRole(map[string]servertest.Role{"holder": holder})
//		leak.Main(m)
//	}
func RunRole(roles map[string]Role) {
	name, child := os.LookupEnv(roleEnv)
	if !child {
		return
	}
	role := roles[name]
	if role == nil {
		fmt.Fprintf(os.Stderr, "no role is called %q\n", name)
		os.Exit(2)
	}
	if err := role(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A Process is a child of the test: the test binary, executing a [Role].
type Process struct {
	process
	t   testing.TB
	in  *os.File
	out *os.File
	buf *bufio.Reader

	part string // of a line that has not ended yet
}

// Child starts a process that executes a role, and kills it when the test ends.
func Child(t testing.TB, role string, args ...string) *Process {
	t.Helper()
	p, err := startChild(role, args)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	p.t = t
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", role, p.Log())
		}
		p.kill()
		p.in.Close()
		p.out.Close()
		os.RemoveAll(p.dir)
	})
	return p
}

func startChild(role string, args []string) (*Process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{}
	p.name, p.alone = role, true // its own watchdog ends its servers
	p.dir, err = newDir(role)
	if err != nil {
		return nil, err
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer stdout.Close()
	p.in, p.out, p.buf = in, out, bufio.NewReader(out)
	if err := p.start(command{path: exe, args: args, env: childEnv(role), stdin: stdin, out: stdout}); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	return p, nil
}

// childEnv names the role, and spares a binary with the race detector its pause at exit.
func childEnv(role string) []string {
	return []string{roleEnv + "=" + role, "GORACE=atexit_sleep_ms=0 " + os.Getenv("GORACE")}
}

// Line returns the next line that the process printed, waiting up to a minute for it; then, and
// at the end of its output, it fails the test.
func (p *Process) Line() string {
	p.t.Helper()
	line, err := p.line(time.Minute)
	if err != nil {
		p.t.Fatalf("wait for a line of %s: %v\nlog:\n%s", p.name, err, p.Log())
	}
	return line
}

// TryLine returns the next line if there is one within limit.
func (p *Process) TryLine(limit time.Duration) (line string, ok bool) {
	p.t.Helper()
	line, err := p.line(limit)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
		p.t.Fatalf("wait for a line of %s: %v", p.name, err)
	}
	return line, err == nil
}

func (p *Process) line(limit time.Duration) (string, error) {
	if err := p.out.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	line, err := p.buf.ReadString('\n')
	p.part += line
	if err != nil {
		return "", err
	}
	line, p.part = strings.TrimSuffix(p.part, "\n"), ""
	return line, nil
}

// Send writes a line to the process's standard input.
func (p *Process) Send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Errorf("send %q to %s: %v", line, p.name, err)
	}
}

// Pause stops the process with SIGSTOP.
func (p *Process) Pause() { p.check(p.signal(sigStop)) }

// Resume lets a paused process go on.
func (p *Process) Resume() { p.check(p.signal(sigCont)) }

// Terminate asks the process to end (SIGTERM).
func (p *Process) Terminate() { p.check(p.signal(sigTerm)) }

// Kill ends the process with SIGKILL.
func (p *Process) Kill() { p.kill() }

// Wait closes the process's standard input, waits up to a minute for its end and returns nil if
// its role returned nil.
func (p *Process) Wait() error { return p.WaitFor(time.Minute) }

// WaitFor is Wait with another bound.
func (p *Process) WaitFor(d time.Duration) error {
	p.in.Close()
	if !poll(d, func() bool { return !p.Running() }) {
		return fmt.Errorf("%s still runs after %v", p.name, d)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != exitOK {
		return fmt.Errorf("%s: %s\n%s", p.name, p.status, p.Log())
	}
	return nil
}

func (p *Process) check(err error) {
	if err != nil {
		p.t.Errorf("servertest: %v", err)
	}
}
