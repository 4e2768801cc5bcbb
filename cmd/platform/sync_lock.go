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
		long: "It ends with the exit code of the command. If the lock is lost the command, and\nwhat it has started, is sent SIGTERM, after 10s SIGKILL, and the exit code is 4.\nPLATFORM_LOCK_TOKEN is the fencing token, for what the command writes to.",
		examples: []string{
			"platform sync lock nightly -- sh -c 'echo holding $PLATFORM_LOCK_TOKEN'",
			"platform sync lock nightly -wait 1m -- echo mine",
		},
		setup: func(f *flags) action {
			wait := f.duration("wait", "give up after `DURATION`, with exit code 4; 0: never")
			try := f.bool("try", "do not wait at all")
			ttl := f.duration("ttl", "how long it stays locked if this machine dies; 0: the default of sync")
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
	cmd := exec.Command(c.args[1], c.args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	cmd.Env = append(os.Environ(), "PLATFORM_LOCK_TOKEN="+strconv.FormatUint(lock.Token(), 10))
	j := newJob(cmd, c.inTerminal && c.outTerminal, c.inTerminal)
	failed := j.start()
	if failed == nil {
		failed = j.wait(ctx, lock.Context())
	}
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := lock.Unlock(end); errors.Is(err, sync.ErrLost) {
		return err
	} else if err != nil {
		c.complain("%s", oneLine(err.Error()))
	}
	exit, ok := errors.AsType[*exec.ExitError](failed)
	if ok {
		return &failure{code: exitOf(exit)}
	}
	return failed
}

// patience is how long what was sent SIGTERM has until SIGKILL.
const patience = 10 * time.Second

// wait waits for the end of the command. When its caller is interrupted, all of
// the job is asked to end; when the lock is lost, it has to.
func (j *job) wait(interrupted, locked context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- j.waitForCommand() }()
	var failed error
	select {
	case failed = <-ended:
		return failed
	case <-interrupted.Done():
		j.terminate()
		select {
		case failed = <-ended:
		case <-locked.Done():
			failed = j.endWithin(patience, ended)
		}
	case <-locked.Done():
		j.terminate()
		failed = j.endWithin(patience, ended)
	}
	// What the command has started and left behind was asked to end, too. It has
	// the lock until then.
	for deadline := time.Now().Add(patience); j.alive(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			j.kill()
			break
		}
	}
	return failed
}

// endWithin waits for the end of the command, which it forces after d.
func (j *job) endWithin(d time.Duration, ended <-chan error) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case err := <-ended:
		return err
	case <-t.C:
		j.kill()
		return <-ended
	}
}

// exitOf is the exit code as a shell has it: 128 and the signal's number, for a
// process that a signal has ended.
func exitOf(e *exec.ExitError) int {
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return e.ExitCode()
}
