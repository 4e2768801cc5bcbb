package platform

import (
	"net"
	"net/http"
	"strings"

	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/wrapper"
)

// Ops serves the operators' pages at addr and nowhere else: probes, status, stats
// and metrics. It is not registered, and has no middleware. adjust may set Handler,
// which is served beside them: the page of monitor/page, or net/http/pprof.
func Ops(addr string, adjust ...func(*http.Server)) Server {
	return &opsServer{newHTTP(addr, http.NotFoundHandler(), adjust)}
}

type opsServer struct{ *httpServer }

func (s *opsServer) Serve(l net.Listener, _ *wrapper.Wrapper, _ monitor.Monitor) error {
	handler := s.handler
	if s.Handler != nil {
		handler = s.Handler
	}
	return s.serve(l, beside(handler, s.pages))
}

// pages returns what operators look at.
func (a *App) pages() http.Handler {
	mux := http.NewServeMux()
	probes := a.monitor.Handler()
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/healthz", "/statusz", "/statsz"} {
		mux.Handle(path, probes)
		mux.Handle(path+"/", probes)
	}
	mux.Handle("/metrics", prometheus.Handler(a.metrics))
	return mux
}

// beside serves the pages where they are, unless handler is a ServeMux that has a
// pattern of its own there.
func beside(handler, pages http.Handler) http.Handler {
	ours, ok := pages.(*http.ServeMux)
	if !ok {
		return handler
	}
	theirs, _ := handler.(*http.ServeMux)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, pattern := ours.Handler(r)
		if pattern == "" || theirs != nil && owns(theirs, r) {
			handler.ServeHTTP(rw, r)
			return
		}
		ours.ServeHTTP(rw, r)
	})
}

// owns reports whether mux has a pattern that names what the path begins with,
// other than those of everything: "GET /", "example.com/", "/{name}".
func owns(mux *http.ServeMux, r *http.Request) bool {
	_, pattern := mux.Handler(r)
	path := pattern[max(strings.IndexByte(pattern, '/'), 0):]
	return path != "" && path != "/" && !strings.HasPrefix(path, "/{")
}
