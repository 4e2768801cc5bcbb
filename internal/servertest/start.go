package servertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// start starts one server and waits until it serves.
func start(t testing.TB, o options, sp spec) *Server {
	t.Helper()
	return startAll(t, o, sp)[0]
}

// startAll starts servers together and waits until all serve. A server that ends at once is most
// likely one whose port somebody took between our look and its start: all are tried again
// elsewhere.
func startAll(t testing.TB, o options, specs ...spec) []*Server {
	t.Helper()
	for _, sp := range specs {
		if err := installed(sp); err != nil {
			missing(t, sp.name, sp.part, err)
		}
	}
	p := claim(o, specs)
	if s := p.adopt(o, specs[0]); s != nil {
		return hand(t, o, []*Server{s})
	}
	var err error
	var logs string
	for range 3 {
		var servers []*Server
		servers, err = layOut(o, specs, p)
		if err == nil {
			err = launchAll(servers)
		}
		if err == nil && p != nil {
			err = p.note(servers[0])
		}
		if err == nil {
			return hand(t, o, servers)
		}
		logs = ""
		for _, s := range servers {
			s.kill()
			logs += fmt.Sprintf("--- %s\n%s", s.name, s.Log())
			s.discard()
		}
	}
	p.release()
	t.Fatalf("servertest: %v\n%s", err, logs)
	return nil
}

// hand gives servers to the test until its end, or to all.
func hand(t testing.TB, o options, servers []*Server) []*Server {
	if o.shared {
		servers[0].place.release()
		return servers
	}
	for _, s := range servers {
		s.t = t
	}
	t.Cleanup(func() { finish(t, servers) })
	return servers
}

// layOut gives each server its folder and ports.
func layOut(o options, specs []spec, p *place) (servers []*Server, err error) {
	for _, sp := range specs {
		s := &Server{spec: sp, opts: o, ports: map[string]port{}, place: p}
		s.name = sp.name
		s.dir, err = p.newDir(sp.name)
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
		for _, name := range sp.ports {
			s.ports[name], err = reserve()
			if err != nil {
				return servers, err
			}
		}
	}
	for _, s := range servers {
		s.peers = servers
	}
	return servers, nil
}

func launchAll(servers []*Server) error {
	for _, s := range servers {
		if s.spec.prepare != nil {
			if err := s.spec.prepare(s); err != nil {
				return fmt.Errorf("prepare %s: %w", s.name, err)
			}
		}
	}
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		if err := s.launch(); err != nil {
			return err
		}
		wg.Go(func() { errs[i] = s.await() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// finish ends a test's servers, and shows what a failed test's servers had to say.
func finish(t testing.TB, servers []*Server) {
	for _, s := range servers {
		if t.Failed() {
			t.Logf("log of %s at %s:\n%s", s.name, s.Addr(), s.Log())
		}
		s.leave()
	}
}

// shared holds the servers of the whole test binary.
var shared struct {
	mu      sync.Mutex
	servers map[string]*entry
}

type entry struct {
	mu     sync.Mutex
	server *Server
}

// share returns the test binary's server called key, started by boot on first use. One that has
// died since fails the test.
func share(t testing.TB, key string, boot func(t testing.TB, opts ...Option) *Server) *Server {
	t.Helper()
	shared.mu.Lock()
	if shared.servers == nil {
		shared.servers = map[string]*entry{}
	}
	e := shared.servers[key]
	if e == nil {
		e = &entry{}
		shared.servers[key] = e
	}
	shared.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		e.server = boot(t, func(o *options) { o.shared = true })
	}
	if !e.server.Running() {
		t.Fatalf("servertest: the shared %s has ended: %s\n%s", e.server.name, e.server.status, e.server.Log())
	}
	return e.server
}
