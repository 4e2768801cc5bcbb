package wrapper

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
)

type routeKey struct{}

// SetRoute names the route of the call that ctx belongs to, which came in over
// HTTP: metrics, spans, logs and the page call it by its method and this
// template, such as "/users/{id}". It is the hook for routers other than
// net/http's ServeMux:
//
//	engine.Use(func(c *gin.Context) { wrapper.SetRoute(c.Request.Context(), c.FullPath()) })
//
// The templates must be few: never what a caller chose. "" changes nothing, as
// does a context without such a call. It is safe for concurrent use.
func SetRoute(ctx context.Context, template string) {
	if r, ok := ctx.Value(routeKey{}).(*atomic.Pointer[string]); ok && template != "" {
		r.Store(&template)
	}
}

// Route returns middleware that names the route of each request with what find
// returns when the handler has run, as SetRoute does. nil stands for what a
// ServeMux matched, for one that sits behind middleware which copies the
// request, such as http.TimeoutHandler:
//
//	w.Handler(http.TimeoutHandler(wrapper.Route(nil)(mux), time.Second, ""))
//	router.Use(wrapper.Route(func(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }))
//
// http.TimeoutHandler does not wait for a handler that is too slow. The route of
// such a call is known with Route(nil) directly around the ServeMux, which is
// asked beforehand.
func Route(find func(*http.Request) string) func(http.Handler) http.Handler {
	ask := find == nil
	if ask {
		find = func(r *http.Request) string { return r.Pattern }
	}
	return func(next http.Handler) http.Handler {
		mux, _ := next.(*http.ServeMux)
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if ask && mux != nil {
				_, pattern := mux.Handler(r)
				SetRoute(r.Context(), pattern)
			}
			defer func() { SetRoute(r.Context(), find(r)) }() // also after a panic
			next.ServeHTTP(rw, r)
		})
	}
}

// method is the method and the template of the path: "GET /users/{id}" and
// "/users/{id}", or the method alone if no route is known.
func (s *serverCall) method() (method, route string) {
	pattern := ""
	if s.request != nil {
		pattern = s.request.Pattern
	}
	if p := s.route.Load(); p != nil {
		pattern = *p
	}
	if pattern == "" {
		return s.record.Action, ""
	}
	at := strings.IndexByte(pattern, '/')
	route = pattern[max(at, 0):]
	if strings.IndexByte(pattern, ' ') > 0 {
		return pattern, route
	}
	return s.record.Action + " " + pattern, route
}
