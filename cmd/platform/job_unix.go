//go:build unix

package main

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// job is a command and what it starts: a process group of its own, so that a
// signal reaches all of it, as in a shell with job control.
type job struct {
	cmd      *exec.Cmd
	group    bool
	terminal int // that the group gets while it runs, and gives back; -1: none
}

// newJob prepares a command. At a terminal its group is made that of the
// foreground, so it can read what is typed and Ctrl-C reaches it. Where only the
// input is the terminal, as in a pipeline that others read from, the terminal
// stays with the whole pipeline and the command stays in it: then signals reach
// the command alone.
func newJob(cmd *exec.Cmd, atTerminal, reads bool) *job {
	j := &job{cmd: cmd, group: true, terminal: -1}
	foreground := reads && inForeground(int(os.Stdin.Fd()))
	switch {
	case foreground && atTerminal:
		j.terminal = int(os.Stdin.Fd())
		cmd.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: j.terminal}
	case foreground:
		j.group = false
	default:
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	return j
}

func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func (j *job) start() error {
	if j.terminal < 0 {
		return j.cmd.Start()
	}
	// Nobody would wake a command that Ctrl-Z has stopped: this program, which the
	// shell knows, is not in its group. What is ignored here stays ignored there.
	signal.Ignore(syscall.SIGTSTP)
	err := j.cmd.Start()
	signal.Reset(syscall.SIGTSTP)
	if err != nil { // what was to become the command may have had the terminal
		j.takeBack()
	}
	return err
}

// waitForCommand waits for the command, and takes the terminal back.
func (j *job) waitForCommand() error {
	err := j.cmd.Wait()
	if j.terminal >= 0 {
		j.takeBack()
	}
	return err
}

func (j *job) takeBack() {
	signal.Ignore(syscall.SIGTTOU) // which a background group is sent for this
	_ = unix.IoctlSetPointerInt(j.terminal, unix.TIOCSPGRP, unix.Getpgrp())
	signal.Reset(syscall.SIGTTOU)
}

func (j *job) signal(s syscall.Signal) error {
	if j.group {
		return syscall.Kill(-j.cmd.Process.Pid, s)
	}
	return j.cmd.Process.Signal(s)
}

// terminate asks all to end. One that is stopped, as who reads from /dev/tty in the
// background is, hears of it when it goes on.
func (j *job) terminate() {
	_ = j.signal(syscall.SIGTERM)
	_ = j.signal(syscall.SIGCONT)
}

func (j *job) kill() { _ = j.signal(syscall.SIGKILL) }

// alive reports whether anything of the group is left.
func (j *job) alive() bool {
	return j.group && syscall.Kill(-j.cmd.Process.Pid, 0) == nil
}
