package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// console is a program at a terminal of its own.
type console struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	out    *output
	read   chan struct{} // closed when all output was read
}

// console starts a command line at a terminal that is so many characters wide.
func (s *shell) console(width int, line string) *console {
	s.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(width)})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer tty.Close()
	c := &console{s.t, s.command("exec " + line), master, &output{}, make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = tty, tty, tty
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(c.read)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			c.out.Write(b[:n])
			if err != nil { // EIO: nobody has the other side any longer
				return
			}
		}
	}()
	return c
}

func (c *console) types(keys string) {
	c.t.Helper()
	if _, err := c.master.WriteString(keys); err != nil {
		c.t.Error(err)
	}
}

func (c *console) await(text string) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(c.out.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("got %q, want %q", c.out, text)
		}
	}
}

// ends waits for the end of the program and returns what was on the screen.
func (c *console) ends(code int) string {
	c.t.Helper()
	if got := exitCode(c.t, c.cmd.Wait()); got != code {
		c.t.Errorf("%s: got exit %d, want %d; %q", c.cmd.Args[2], got, code, c.out)
	}
	<-c.read
	return strings.ReplaceAll(c.out.String(), "\r\n", "\n")
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	s := newShell(t, "PLATFORM_KV=sqlite:x.db", "TERM=xterm")
	s.steps([]step{
		{"platform kv put long " + strings.Repeat("0123456789", 10), "…", "", 0},
		{`printf 'a\033[31mb' | platform kv put hostile`, "…", "", 0},
		{`printf 'one\ntwo\n' | platform kv put lines`, "…", "", 0},
	})
	dimmed := "\x1b[2mKEY\x1b[0m      \x1b[2mEXPIRES\x1b[0m  \x1b[2mVALUE\x1b[0m\n"
	short := "hostile           \"a\\x1b[31mb\"\nlines             \"one\\ntwo\\n\"\n"
	for _, c := range []struct {
		width      int
		line, want string
		code       int
	}{
		{200, "platform kv list", dimmed + short + "long              " + strings.Repeat("0123456789", 10) + "\n", 0},
		{40, "platform kv list", dimmed + short + "long              012345678901234567890…\n", 0},
		{40, "env NO_COLOR=1 platform kv list -limit 2", "KEY      EXPIRES  VALUE\n" + short + "… more than 2; -limit 0 lists all\n", 0},
		{40, "env TERM=dumb platform kv list nothing", "no keys\n", 0},
		{40, "platform kv list nothing", "\x1b[2mno keys\x1b[0m\n", 0},
		{40, "platform kv get lines", "one\ntwo\n", 0},
		{40, "platform kv get hostile", "\"a\\x1b[31mb\"\n", 0},
		{40, "platform kv list -o tsv -keys", "hostile\nlines\nlong\n", 0},
		{40, "platform kv get nothing", "\x1b[31mplatform:\x1b[0m kv/sqlite: get \"nothing\": not found\n", 1},
	} {
		if got := s.console(c.width, c.line).ends(c.code); got != c.want {
			t.Errorf("%s at %d: got\n%s%q, want\n%s%q", c.line, c.width, got, got, c.want, c.want)
		}
	}
	if r := s.run("platform kv list -o table"); r.out != "KEY      EXPIRES  VALUE\n"+short+"long              "+strings.Repeat("0123456789", 10)+"\n" {
		t.Errorf("a table in a pipe: got %q", r.out)
	}

	typed := s.console(80, "platform kv put typed")
	typed.await("Ctrl-D")
	typed.types("by hand\n\x04")
	typed.ends(0)
	s.steps([]step{{"platform kv get typed", "by hand\n", "", 0}})

	left := s.console(80, "platform kv put left")
	left.await("Ctrl-D")
	left.types("\x03")
	left.ends(130)

	watch := s.console(80, "platform kv watch -changes")
	watch.await("watching")
	s.steps([]step{{"platform kv delete typed", "…", "", 0}})
	watch.await("\x1b[31mdelete\x1b[0m  \x1b[1mtyped\x1b[0m")
	watch.types("\x03")
	watch.ends(0)
}

// A command that runs with a lock has the terminal as if it had been typed there.
func TestLockAtATerminal(t *testing.T) {
	t.Parallel()
	s := newShell(t, "PLATFORM_SYNC=sqlite:x.db", "TERM=xterm")
	const asks = `sh -c 'echo ready; read x; echo "got $x"'`
	for _, line := range []string{
		"platform sync lock job -- " + asks,
		`bash -c "platform sync lock job -- ` + strings.ReplaceAll(strings.ReplaceAll(asks, `"`, `\"`), "$", `\$`) + ` | cat"`, // cat has the terminal, too
	} {
		c := s.console(80, line)
		c.await("ready")
		c.types("it\n")
		if got := c.ends(0); !strings.Contains(got, "got it\n") {
			t.Errorf("%s: got %q", line, got)
		}
	}
	c := s.console(80, `platform sync lock job -- sh -c 'trap "echo interrupted; exit 7" INT; echo ready; while :; do sleep 0.02; done'`)
	c.await("ready")
	c.types("\x1a") // Ctrl-Z stops nothing: the lock would go on
	c.types("\x03")
	if got := c.ends(7); !strings.Contains(got, "interrupted\n") {
		t.Errorf("got %q", got)
	}
	for _, command := range []string{"true", "no-such-program"} {
		back := s.console(80, "bash -c 'platform sync lock job -- "+command+`; read x; echo "then $x"'`)
		back.types("me\n")
		if got := back.ends(0); !strings.Contains(got, "then me\n") {
			t.Errorf("%s: the terminal was not given back: got %q", command, got)
		}
	}
}

// A command that is stopped ends, too, when its lock is given up.
func TestInterruptedLockEndsAStoppedCommand(t *testing.T) {
	t.Parallel()
	s := newShell(t, "PLATFORM_SYNC=sqlite:x.db")
	f := s.follow(`platform sync lock job -- sh -c 'trap "echo ended; exit 3" TERM; (until grep -q "^State:.T" /proc/$$/status; do sleep 0.02; done; echo stopped) & kill -STOP $$; wait'`)
	f.await("stopped\n")
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, f.cmd.Wait()); code != 3 || f.out.String() != "stopped\nended\n" {
		t.Errorf("got exit %d, %q, %q, want 3", code, f.out, f.err)
	}
	s.steps([]step{{"platform sync lock job -try -- echo free", "free\n", "", 0}})
}
