package platform

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	gosync "sync"
	"time"

	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/wrapper"
)

// A Server is what Run listens for: one made by HTTP or Ops, by Server of package
// wrapper/grpc, or your own.
type Server interface {
	// Address is where to listen, such as ":8080" or "127.0.0.1:0".
	Address() string

	// Serve serves on l with w's middleware until Shutdown. What it returns
	// before Shutdown was called ends the program, as a panic does.
	Serve(l net.Listener, w *wrapper.Wrapper, mo monitor.Monitor) error

	// Shutdown stops listening, waits for what is in progress until ctx ends, and
	// then cuts it off.
	Shutdown(ctx context.Context) error
}

// As registers what s serves as a service of its own, for a program with several
// servers: platform.As("greeter.grpc", …). The first server that Run is given
// needs no such name.
func As(service string, s Server) Server { return registered{s, service} }

type registered struct {
	Server
	service string
}

// Listener serves s on l instead of on an address of its own: for a port that the
// system chose, a socket that a supervisor hands over, or connections that
// something looks at first. Run closes l.
func Listener(l net.Listener, s Server) Server { return listening{s, l} }

type listening struct {
	Server
	l net.Listener
}

// bare returns the server that As and Listener were given.
func bare(s Server) Server {
	for {
		switch around := s.(type) {
		case registered:
			s = around.Server
		case listening:
			s = around.Server
		default:
			return s
		}
	}
}

// nameOf returns the name that As gave, or else the service's own.
func nameOf(s Server, own string) string {
	switch around := s.(type) {
	case registered:
		return around.service
	case listening:
		return nameOf(around.Server, own)
	}
	return own
}

// HTTP serves handler at addr, within the middleware. adjust may change the
// http.Server: timeouts, protocols, and TLSConfig, which turns TLS on. Headers
// must have been sent within 10 s, and an idle connection is closed after two
// minutes, unless it says otherwise.
func HTTP(addr string, handler http.Handler, adjust ...func(*http.Server)) Server {
	return newHTTP(addr, handler, adjust)
}

type httpServer struct {
	http.Server
	handler http.Handler
	err     error
	pages   http.Handler                    // of operators, beside the handler; nil: none
	around  func(http.Handler) http.Handler // of the ring, whose peers are no callers; nil: none
}

func newHTTP(addr string, handler http.Handler, adjust []func(*http.Server)) *httpServer {
	s := &httpServer{handler: handler}
	s.Addr, s.ReadHeaderTimeout, s.IdleTimeout = addr, 10*time.Second, 2*time.Minute
	if fronts.Nil(handler) {
		s.err = errors.New("nil handler")
	}
	for _, f := range adjust {
		if f == nil {
			s.err = errors.New("nil function")
			continue
		}
		f(&s.Server)
	}
	return s
}

func (s *httpServer) Address() string { return s.Addr }

func (s *httpServer) Serve(l net.Listener, w *wrapper.Wrapper, _ monitor.Monitor) error {
	handler := w.Handler(beside(s.handler, s.pages))
	if s.around != nil {
		handler = s.around(handler)
	}
	return s.serve(l, handler)
}

func (s *httpServer) serve(l net.Listener, handler http.Handler) error {
	s.Handler = handler
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Server.Serve(l)
}

// Shutdown closes the connections that are still busy when ctx ends.
func (s *httpServer) Shutdown(ctx context.Context) error {
	err := s.Server.Shutdown(ctx)
	if err != nil {
		_ = s.Server.Close()
	}
	return err
}

// servers are those that run.
type servers struct {
	mu  gosync.Mutex
	all []served
}

type served struct {
	Server
	l net.Listener // nil: of a job
}

func (s *servers) add(one Server, l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, served{one, l})
}

// works reports whether one is a job, which ends after the calls in progress, and
// listens whether it serves them.
func works(one served) bool   { return one.l == nil }
func listens(one served) bool { return one.l != nil }

// shutdown stops those of a kind at the same time.
func (s *servers) shutdown(ctx context.Context, g guard, kind func(served) bool) error {
	var all []served
	s.mu.Lock()
	s.all = slices.DeleteFunc(s.all, func(one served) bool {
		is := kind(one)
		if is {
			all = append(all, one)
		}
		return is
	})
	s.mu.Unlock()
	errs := make([]error, len(all))
	var wg gosync.WaitGroup
	for i, one := range all {
		wg.Go(func() {
			errs[i] = g("server", func() error { return one.Shutdown(ctx) })
			if one.l != nil {
				_ = one.l.Close() // if its Shutdown has not got so far
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
