//go:build unix

package shell

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Session is where a page's blocks are typed.
type Session struct {
	Dir     string              // where the first one is typed
	Env     []string            // of the commands
	Replace func(string) string // adapts a command, such as its ports; nil: nothing
	Within  time.Duration       // for one block; the default is 20 s
}

// Run types blocks and reports what is not as the page says.
func (s Session) Run(t testing.TB, blocks []Block) {
	t.Helper()
	if s.Within == 0 {
		s.Within = 20 * time.Second
	}
	if s.Replace == nil {
		s.Replace = func(c string) string { return c }
	}
	r := &runner{Session: s, t: t, dir: s.Dir, terminals: map[string]*terminal{}}
	defer func() {
		for _, terminal := range r.terminals {
			terminal.interrupt()
		}
	}()
	for _, b := range blocks {
		if !r.block(b) {
			return // what follows stands on it
		}
	}
}

type runner struct {
	Session
	t         testing.TB
	dir       string
	terminals map[string]*terminal
}

// block reports whether all is as the page says.
func (r *runner) block(b Block) bool {
	r.t.Helper()
	switch {
	case b.Terminal == "":
	case len(b.Commands) == 0 && r.terminals[b.Terminal] == nil:
		r.t.Errorf("line %d: nothing runs in %s", b.Line, b.Terminal)
		return false
	case len(b.Commands) == 0 && b.Want == "":
		r.terminals[b.Terminal].interrupt()
		delete(r.terminals, b.Terminal)
		return true
	case len(b.Commands) == 0:
		return r.see(b.Line, b.Terminal, b.Want)
	default:
		return r.keep(b.Line, b.Terminal, strings.Join(b.Commands, "\n"), b.Want)
	}
	var group []string
	for i, c := range b.Commands {
		if rest, ok := strings.CutSuffix(c, " &"); ok {
			if !r.script(b.Line, group, "") || !r.keep(b.Line, "&", rest, "") {
				return false
			}
			group = nil
			continue
		}
		group = append(group, c)
		if i+1 < len(b.Commands) && curls(group) != curls(b.Commands[i+1:i+2]) { // only curl is typed again
			if !r.script(b.Line, group, "") {
				return false
			}
			group = nil
		}
	}
	return r.script(b.Line, group, b.Want)
}

func curls(commands []string) bool {
	for _, c := range commands {
		if !strings.HasPrefix(c, "curl ") {
			return false
		}
	}
	return len(commands) > 0
}

// script types commands that end.
func (r *runner) script(line int, commands []string, want string) bool {
	r.t.Helper()
	if len(commands) == 0 {
		return true
	}
	deadline := time.Now().Add(r.Within)
	for {
		out, err := r.once(commands, deadline)
		if err == nil && (want == "" || Match(want, out)) {
			return true
		}
		if !curls(commands) || time.Now().After(deadline) {
			r.t.Errorf("line %d: %s\n%v; it printed\n%s\nthe page says\n%s%s", line, strings.Join(commands, "\n"), err, out, want, r.logs())
			return false
		}
		time.Sleep(20 * time.Millisecond) // polling
	}
}

// once types commands once.
func (r *runner) once(commands []string, deadline time.Time) (string, error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	where := filepath.Join(r.t.TempDir(), "pwd")
	script := r.Replace(strings.Join(commands, "\n")) + "\npwd >" + where
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = r.dir, append(os.Environ(), r.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		b, err := os.ReadFile(where)
		if err != nil {
			return string(out), err
		}
		r.dir = strings.TrimSpace(string(b))
	}
	return string(out), err
}

// keep types commands that go on, and waits for what the page says that they print.
func (r *runner) keep(line int, name, commands, want string) bool {
	r.t.Helper()
	if before := r.terminals[name]; before != nil && name != "&" {
		before.interrupt()
	}
	if name == "&" {
		name = commands
	}
	now := &terminal{cmd: exec.Command("bash", "-euo", "pipefail", "-c", r.Replace(commands))}
	now.cmd.Dir, now.cmd.Env = r.dir, append(os.Environ(), r.Env...)
	now.cmd.Stdout, now.cmd.Stderr = &now.out, &now.out
	now.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	now.cmd.WaitDelay = 5 * time.Second
	if err := now.cmd.Start(); err != nil {
		r.t.Errorf("line %d: %s: %v", line, commands, err)
		return false
	}
	r.terminals[name] = now
	now.ended = make(chan struct{})
	go func() { _ = now.cmd.Wait(); close(now.ended) }()
	return want == "" || r.see(line, name, want)
}

// see waits until a terminal shows what the page says.
func (r *runner) see(line int, name, want string) bool {
	r.t.Helper()
	for deadline := time.Now().Add(r.Within); ; time.Sleep(20 * time.Millisecond) { // polling
		got := r.terminals[name].out.String()
		if Match(want, got) {
			return true
		}
		if time.Now().After(deadline) {
			r.t.Errorf("line %d: the terminal %s printed\n%s\nthe page says\n%s", line, name, got, want)
			return false
		}
	}
}

// logs is what terminals have printed.
func (r *runner) logs() string {
	var all strings.Builder
	for name, t := range r.terminals {
		all.WriteString("\nterminal " + name + ":\n" + t.out.String())
	}
	return all.String()
}

// terminal is a command that keeps running.
type terminal struct {
	cmd   *exec.Cmd
	out   printed
	ended chan struct{}
}

// interrupt types Ctrl-C, and what a reader types who has waited.
func (t *terminal) interrupt() {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGINT, syscall.SIGKILL} {
		_ = syscall.Kill(-t.cmd.Process.Pid, signal)
		select {
		case <-t.ended:
			return
		case <-time.After(10 * time.Second):
		}
	}
}

// printed is written and read at the same time.
type printed struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}
