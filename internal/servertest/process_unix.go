//go:build unix

package servertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

type sig = syscall.Signal

const (
	sigKill = syscall.SIGKILL
	sigTerm = syscall.SIGTERM
	sigInt  = syscall.SIGINT
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// spawn starts c in dir, in a process group of its own so that a terminal's interrupt doesn't
// reach it.
func spawn(dir string, c command, log *os.File) (pid int, err error) {
	if c.stdin == nil {
		c.stdin, err = os.Open(os.DevNull)
		if err != nil {
			return 0, err
		}
		defer c.stdin.Close()
	}
	if c.out == nil {
		c.out = log
	}
	sys := &syscall.SysProcAttr{Setpgid: true}
	if c.user != "" && os.Geteuid() == 0 {
		sys.Credential, err = credential(c.user)
		if err != nil {
			return 0, err
		}
		for _, path := range append(c.owns, dir) {
			if err := os.Chown(path, int(sys.Credential.Uid), int(sys.Credential.Gid)); err != nil {
				return 0, err
			}
		}
	}
	p, err := os.StartProcess(c.path, append([]string{c.path}, c.args...), &os.ProcAttr{
		Dir:   dir,
		Env:   append(os.Environ(), c.env...),
		Files: []*os.File{c.stdin, c.out, log},
		Sys:   sys,
	})
	if err != nil {
		return 0, err
	}
	pid = p.Pid
	return pid, p.Release()
}

// userName returns who we are.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return "root"
	}
	return u.Username
}

// give makes a folder the property of the user that a process is to run as if we are root.
func give(names, dir string) error {
	if names == "" || os.Geteuid() != 0 {
		return nil
	}
	c, err := credential(names)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(c.Uid), int(c.Gid))
	})
}

// credential looks up the first of the space-separated names that exists.
func credential(names string) (*syscall.Credential, error) {
	for name := range strings.FieldsSeq(names) {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("none of the users %s exists", names)
}

// wait reports whether pid has ended and how, waiting for its end if block.
func wait(pid int, block bool) (status string, ended bool) {
	flags := syscall.WNOHANG
	if block {
		flags = 0
	}
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(pid, &ws, flags, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err.Error(), true
		case got == 0:
			return "", false
		case ws.Signaled():
			return "killed by " + ws.Signal().String(), true
		default:
			return fmt.Sprintf("exit status %d", ws.ExitStatus()), true
		}
	}
}

// gone reports whether a process has ended that is no child of ours, though its parent may not have noticed.
func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	state := strings.TrimSpace(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name before it may hold anything
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

func send(pid int, s sig) error { return syscall.Kill(pid, s) }

// descendants lists the processes below pid, as /proc tells; elsewhere there is none.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name, which may hold spaces and parentheses) state ppid …
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], child)
	}
	var all []int
	for next := children[pid]; len(next) > 0; {
		all = append(all, next...)
		var below []int
		for _, pid := range next {
			below = append(below, children[pid]...)
		}
		next = below
	}
	return all
}

// lockFile opens path and locks it until it is closed or this process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// watchdog starts a shell that outlives this process just long enough to kill the processes
// whose pid files are in dir, with their groups, and to remove dir. It waits for the end of file of the returned
// pipe, which the kernel closes however this process ends. As long as it lives it holds lock, too:
// who finds the folder unlocked has no servers to end.
func watchdog(dir string, lock *os.File) (*os.File, error) {
	const script = `cat >/dev/null
dir=$(cd "$1" && pwd -P)
for pid in "$1"/*/pid; do
  [ -f "$pid" ] || continue
  pid=$(cat "$pid")
  # A server works in its folder, or its command names that: rsyslogd goes to /. Or the number is a stranger's by now.
  case "$(readlink "/proc/$pid/cwd" || echo "$dir/") $(tr '\0' ' ' < "/proc/$pid/cmdline")" in *"$dir"/* | *"$1"/*) kill -9 "-$pid" ;; esac
done
for i in 1 2 3 4 5; do rm -rf "$1" && exit; sleep 0.1; done`
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script, "sh", dir}, &os.ProcAttr{
		Dir:   "/",
		Files: []*os.File{r, null, null, lock},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, p.Release()
}
