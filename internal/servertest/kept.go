package servertest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// mostKept is how many servers of one kind with the same options are kept at a time.
const mostKept = 4

// Keep makes a folder for servers that outlive the test binaries which start them: those that have
// KEEP_SERVERS=dir in their environment leave what takes long to start running, with all that is in
// it, for later tests and later test binaries. It ends with this process, by whatever cause.
func Keep() (dir string, err error) { return workdir() }

// A place is where a kept server is.
type place struct {
	dir  string
	lock *os.File // held while a test has the server for itself, or starts a shared one
}

// claim returns a place for a server that no other test has, or nil if such a server is not kept.
func claim(o options, specs []spec) *place {
	base := os.Getenv("KEEP_SERVERS")
	if base == "" || len(specs) != 1 || !specs[0].kept || o.tls != nil || o.etcd != nil {
		return nil
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", o))
	name := filepath.Join(base, fmt.Sprintf("%s-%x", specs[0].name, sum[:4]))
	var p *place
	take := func(dir string) bool {
		lock, err := lockFile(dir + ".lock")
		if err == nil {
			p = &place{dir, lock}
		}
		return err == nil
	}
	if o.shared {
		poll(3*javaStarts, func() bool { return take(name + "-shared") })
		return p
	}
	for i := range mostKept {
		if take(name + "-" + strconv.Itoa(i)) {
			break
		}
	}
	return p
}

func (p *place) release() {
	if p != nil {
		p.lock.Close()
	}
}

func (p *place) ports() string { return filepath.Join(p.dir, "ports") }

// note writes down what the next test has to know of a server.
func (p *place) note(s *Server) error {
	var b strings.Builder
	for name, port := range s.ports {
		fmt.Fprintln(&b, name, port.number)
	}
	return os.WriteFile(p.ports(), []byte(b.String()), 0o644)
}

// adopt returns the server that a test has left, or nil if none serves there.
func (p *place) adopt(o options, sp spec) *Server {
	if p == nil {
		return nil
	}
	s := &Server{spec: sp, opts: o, ports: map[string]port{}, place: p}
	s.name, s.dir, s.adopted = sp.name, p.dir, true
	s.peers = []*Server{s}
	s.pid = runsIn(p.dir)
	for _, line := range s.Lines("ports") {
		name, number, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(number)
		if err == nil {
			s.ports[name] = reserveAgain(n)
		}
	}
	if s.pid != 0 && len(s.ports) == len(sp.ports) {
		_ = s.signalAll(sigCont) // its last test may have paused it
		if poll(10*time.Second, func() bool { return sp.ready(s) == nil || !s.Running() }) && s.Running() {
			return s
		}
	}
	s.kill()
	s.discard()
	return nil
}

// runsIn returns the process whose number and folder are dir's, or 0: a number alone may be a
// stranger's by now.
func runsIn(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return 0
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return 0
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil || !strings.HasPrefix(cwd+"/", dir+"/") {
		return 0
	}
	return pid
}
