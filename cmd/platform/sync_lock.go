package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/micro/go-platform/sync"
)

func syncLock() *command {
	return &command{
		name: "lock", args: "ID -- COMMAND [ARGUMENT…]", min: 2, max: -1, follows: true, short: "run a command while holding a lock",
		long: "It ends with the exit code of the command. If the lock is lost the command is sent SIGTERM,\nafter 10s SIGKILL, and the exit code is 4.\nPLATFORM_LOCK_TOKEN is the fencing token, for what the command writes to.",
		examples: []string{
			"platform sync lock nightly -- sh -c 'echo holding $PLATFORM_LOCK_TOKEN'",
			"platform sync lock nightly -wait 1m -- echo mine",
		},
		setup: func(f *flags) action {
			wait := f.duration("wait", 0, "give up after `DURATION`, with exit code 4; 0: never")
			try := f.bool("try", "do not wait at all")
			ttl := f.duration("ttl", 0, "how long it stays locked if this machine dies; 0: the default of sync")
			owner := f.string("owner", "", "`NAME`: who holds it, for others to see; this host and process if none is given")
			t := syncTarget(f)
			return func(ctx context.Context, c *call) error {
				if *try && *wait != 0 {
					return badUse("-try does not wait: give it or -wait")
				}
				s, err := openSync(c, t)
				if err != nil {
					return err
				}
				name := *owner
				if name == "" {
					host, _ := os.Hostname()
					name = host + "/" + strconv.Itoa(os.Getpid())
				}
				opts := []sync.LockOption{sync.Owner(name)}
				if *ttl != 0 {
					opts = append(opts, sync.TTL(*ttl))
				}
				if *wait != 0 {
					opts = append(opts, sync.Wait(*wait))
				}
				take := s.Lock
				if *try {
					take = s.TryLock
				}
				lock, err := take(ctx, c.args[0], opts...)
				if err != nil {
					return err
				}
				return runLocked(ctx, c, lock)
			}
		},
	}
}

// runLocked runs the command, then releases the lock.
func runLocked(ctx context.Context, c *call, lock sync.Lock) error {
	cmd := exec.CommandContext(lock.Context(), c.args[1], c.args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	cmd.Env = append(os.Environ(), "PLATFORM_LOCK_TOKEN="+strconv.FormatUint(lock.Token(), 10))
	cmd.Cancel = func() error { return terminate(cmd.Process) }
	cmd.WaitDelay = 10 * time.Second
	failed := cmd.Start()
	if failed == nil {
		stop := context.AfterFunc(ctx, func() { terminate(cmd.Process) })
		failed = cmd.Wait()
		stop()
	}
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := lock.Unlock(end); errors.Is(err, sync.ErrLost) {
		return err
	} else if err != nil {
		c.complain("%s", oneLine(err.Error()))
	}
	var exit *exec.ExitError
	if errors.As(failed, &exit) {
		return &failure{code: exitOf(exit)}
	}
	return failed
}

// terminate asks a process to end, or ends it where it can't be asked.
func terminate(p *os.Process) error {
	err := p.Signal(syscall.SIGTERM)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return p.Kill()
	}
	return err
}

// exitOf is the exit code as a shell has it: 128 and the signal's number, for a
// process that a signal has ended.
func exitOf(e *exec.ExitError) int {
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return e.ExitCode()
}
