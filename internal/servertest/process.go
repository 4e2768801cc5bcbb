package servertest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

const exitOK = "exit status 0"

// A process is one that this package started, with its folder. Nobody waits for it in the
// background: its state is asked for when it matters, so there is no goroutine to leak.
type process struct {
	name string
	dir  string

	mu     sync.Mutex
	pid    int    // 0: none
	began  int64  // the log's length when it started
	status string // how the last one ended

	alone   bool // its descendants are not part of it
	adopted bool // another process started it
}

// command is what to execute.
type command struct {
	path  string
	args  []string
	env   []string
	user  string   // to run as instead of root
	owns  []string // folders that the user must own, besides the process's
	stdin *os.File // nil: none
	out   *os.File // nil: the log
}

func (p *process) logfile() string { return filepath.Join(p.dir, "log") }
func (p *process) pidfile() string { return filepath.Join(p.dir, "pid") }

// start executes c. The watchdog knows of the process by its pid file.
func (p *process) start(c command) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		return fmt.Errorf("%s runs already", p.name)
	}
	log, err := os.OpenFile(p.logfile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p.adopted = false
	p.began, err = log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	p.pid, err = spawn(p.dir, c, log)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return os.WriteFile(p.pidfile(), []byte(strconv.Itoa(p.pid)), 0o644)
}

// finish executes c to its end.
func (p *process) finish(c command) error {
	if err := p.start(c); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	status, _ := p.wait(true)
	p.ended(status)
	if status != exitOK {
		return fmt.Errorf("%s: %s\n%s", p.name, status, p.Log())
	}
	return nil
}

// alive asks whether the process runs, and takes note of its end. Callers hold p.mu.
func (p *process) alive() bool {
	if p.pid == 0 {
		return false
	}
	status, ended := p.wait(false)
	if ended {
		p.ended(status)
	}
	return !ended
}

// wait reports whether the process has ended and how, waiting for its end if block.
func (p *process) wait(block bool) (status string, ended bool) {
	if !p.adopted {
		return wait(p.pid, block)
	}
	for !gone(p.pid) {
		if !block {
			return "", false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return "its status went to the process that had started it", true
}

func (p *process) ended(status string) {
	// The number may be given to a stranger from now on.
	os.Remove(p.pidfile())
	p.pid, p.status = 0, status
}

// Running reports whether the process exists; a paused one does.
func (p *process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive()
}

// PID returns the process id, or 0 if the process has ended.
func (p *process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive()
	return p.pid
}

// signal sends sig to the process.
func (p *process) signal(sig sig) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return fmt.Errorf("%s has ended: %s", p.name, p.status)
	}
	if err := send(p.pid, sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// signalAll sends sig to the process and what it has started.
func (p *process) signalAll(sig sig) error {
	if err := p.signal(sig); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pid := range p.below() {
		_ = send(pid, sig) // it may have ended
	}
	return nil
}

// below lists what belongs to the process besides itself. Callers hold p.mu.
func (p *process) below() []int {
	if p.alone || p.pid == 0 {
		return nil
	}
	return descendants(p.pid)
}

// kill ends the process and what it has started at once, and waits for the end of all: what they
// listened on is free then.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return
	}
	below := p.below()
	_ = send(p.pid, sigKill)
	for _, pid := range below {
		_ = send(pid, sigKill)
	}
	status, _ := p.wait(true)
	p.ended(status)
	// Those below are not our children: others wait for them.
	poll(time.Minute, func() bool {
		below = slices.DeleteFunc(below, gone)
		return len(below) == 0
	})
}

// terminate asks the process to end and kills it after limit.
func (p *process) terminate(s sig, limit time.Duration) {
	if p.signal(s) != nil {
		return
	}
	if poll(limit, func() bool { return !p.Running() }) {
		return
	}
	p.kill()
}

// Log returns the end of what the process printed.
func (p *process) Log() string {
	const tail = 8 << 10
	b, err := os.ReadFile(p.logfile())
	if err != nil {
		return err.Error()
	}
	if len(b) > tail {
		b = b[len(b)-tail:]
		if _, rest, ok := bytes.Cut(b, []byte("\n")); ok {
			b = rest
		}
	}
	return string(b)
}

// poll calls done until it reports true or limit has passed.
func poll(limit time.Duration, done func() bool) bool {
	deadline := time.Now().Add(limit)
	for pause := time.Millisecond; ; pause = min(2*pause, 25*time.Millisecond) {
		if done() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
	}
}
