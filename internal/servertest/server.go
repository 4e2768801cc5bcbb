package servertest

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A Server is a running server. Its methods may be called from any goroutine; those that change
// its state fail the test that started the server, and panic on a shared one.
type Server struct {
	process
	spec  spec
	opts  options
	t     testing.TB // nil: shared
	ports map[string]port
	peers []*Server // those started together, itself among them
	place *place    // of a server that is kept
}

// spec says how one kind of server is started.
type spec struct {
	name    string   // in messages and folder names
	part    string   // of scripts/servers, which installs it
	program string   // what find looks up
	files   []string // that it needs besides
	ports   []string // that it listens on; the first is Addr's
	host    string   // "": 127.0.0.1
	secure  string   // the port that speaks TLS under WithTLS
	stdout  string   // the file for its standard output; "": the log

	prepare func(s *Server) error    // before the first start: writes files
	args    func(s *Server) []string // of the command line
	env     []string
	envOf   func(s *Server) []string // the part of it that has the server's ports and folder
	dsn     string                   // format of DSN, with the address
	user    string                   // to run as if we are root
	ready   func(s *Server) error    // nil when the server serves
	limit   time.Duration            // to become ready; 0: two minutes
	stop    sig                      // asks it to end; 0: SIGTERM
	ends    time.Duration            // for which it may take its end; 0: 5 s
	kept    bool                     // it takes long to start: see Keep
}

// Addr returns host:port.
func (s *Server) Addr() string { return s.AddrOf(s.spec.ports[0]) }

// AddrOf returns host:port of the port called name, such as "http".
func (s *Server) AddrOf(name string) string {
	return net.JoinHostPort(cmp.Or(s.spec.host, "127.0.0.1"), strconv.Itoa(s.Port(name)))
}

// Port returns the number of the port called name.
func (s *Server) Port(name string) int {
	p, ok := s.ports[name]
	if !ok {
		panic(fmt.Sprintf("servertest: %s has no port %q but %v", s.name, name, s.spec.ports))
	}
	return p.number
}

// DSN returns the data source name of a database server.
func (s *Server) DSN() string { return fmt.Sprintf(s.spec.dsn, s.Addr()) }

// Dir returns the server's folder, which it shares with nobody.
func (s *Server) Dir() string { return s.dir }

// Pause stops the server's processes with SIGSTOP: connections stay open, nothing is answered.
func (s *Server) Pause() {
	s.own("Pause")
	s.check(s.signalAll(sigStop))
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	s.own("Resume")
	s.check(s.signalAll(sigCont))
}

// Kill ends the server with SIGKILL.
func (s *Server) Kill() {
	s.own("Kill")
	s.kill()
}

// Stop ends the server in the way that its operators would.
func (s *Server) Stop() {
	s.own("Stop")
	s.end()
}

// Restart starts the server again on the same ports and in the same folder and waits until it
// serves, after Kill or Stop; a running one is stopped first.
func (s *Server) Restart() {
	s.own("Restart")
	s.end()
	// What was killed may leave children behind that hold on to its data for a
	// moment: PostgreSQL's do. One that hangs is given a second try.
	end := time.Now().Add(10 * time.Second)
	for try := 1; ; try++ {
		err := s.launch()
		if err == nil {
			err = s.await()
		}
		if err == nil || try > 1 && time.Now().After(end) {
			s.check(err)
			return
		}
		s.terminate(sigKill, 5*time.Second)
		time.Sleep(100 * time.Millisecond)
	}
}

// end asks the server to end, and kills one that does not.
func (s *Server) end() {
	s.terminate(cmp.Or(s.spec.stop, sigTerm), cmp.Or(s.spec.ends, 5*time.Second))
}

// own panics on a shared server: another test may be in the middle of using it.
func (s *Server) own(method string) {
	if s.t == nil {
		panic("servertest: " + method + " of the shared " + s.name + ": start one of the test's own")
	}
}

func (s *Server) check(err error) {
	if err != nil {
		s.t.Errorf("servertest: %v\n%s", err, s.Log())
	}
}

// launch executes the server's program.
func (s *Server) launch() error {
	path, err := find(s.spec.program)
	if err != nil {
		return err
	}
	env := append(libraries(path), s.spec.env...)
	if s.spec.envOf != nil {
		env = append(env, s.spec.envOf(s)...)
	}
	var out *os.File
	if s.spec.stdout != "" {
		out, err = os.OpenFile(filepath.Join(s.dir, s.spec.stdout), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer out.Close()
	}
	return s.start(command{
		out:  out,
		path: path,
		args: append(s.spec.args(s), s.opts.args...),
		env:  append(env, s.opts.env...),
		user: s.spec.user,
	})
}

// await waits until the server serves.
func (s *Server) await() error {
	limit := cmp.Or(s.spec.limit, 2*time.Minute)
	var err error
	ended := false
	ready := poll(limit, func() bool {
		err = s.spec.ready(s)
		if err == nil {
			return true
		}
		ended = !s.Running()
		return ended
	})
	switch {
	case ended:
		return fmt.Errorf("%s ended before it was ready: %s", s.name, s.status)
	case !ready:
		return fmt.Errorf("%s is not ready after %v: %w", s.name, limit, err)
	}
	return nil
}

// discard ends the server for good.
func (s *Server) discard() {
	s.kill()
	s.releasePorts()
	os.RemoveAll(s.dir)
}

func (s *Server) releasePorts() {
	for _, p := range s.ports {
		p.release()
	}
}

// leave leaves a kept server to the next test, and ends any other one.
func (s *Server) leave() {
	if s.place == nil || !s.Running() {
		s.discard()
	} else {
		s.releasePorts()
	}
	s.place.release()
}
