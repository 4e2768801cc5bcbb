package routers

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"

	"github.com/micro/go-platform/wrapper"
)

// parts are what a setting puts around a handler and a transport: a Wrapper's, or
// nothing.
type parts struct {
	handler   func(http.Handler) http.Handler
	transport func(http.RoundTripper) http.RoundTripper
}

// setting is a handler as people put one together. It serves /users/{id}.
type setting struct {
	route string // that is known of a call
	proxy bool   // another server answers: it sends no trailers of its own, and an error becomes a 502
	make  func(t *testing.T, around parts, h http.HandlerFunc) http.Handler
}

const template = "/users/{id}"

func serveMux(h http.HandlerFunc) http.Handler {
	m := http.NewServeMux()
	m.Handle(template, h)
	return m
}

var settings = map[string]setting{
	"ServeMux": {route: template, make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler { return around.handler(serveMux(h)) }},
	"chi": {route: template, make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler {
		r := chi.NewRouter()
		r.Use(wrapper.Route(func(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }))
		r.HandleFunc(template, h)
		return around.handler(r)
	}},
	"gorilla": {route: template, make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler {
		r := mux.NewRouter()
		r.Use(wrapper.Route(func(r *http.Request) string { t, _ := mux.CurrentRoute(r).GetPathTemplate(); return t }))
		r.HandleFunc(template, h)
		return around.handler(r)
	}},
	"gin": {route: "/users/:id", make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler {
		e := gin.New()
		e.Use(func(c *gin.Context) { wrapper.SetRoute(c.Request.Context(), c.FullPath()) })
		e.Any("/users/:id", func(c *gin.Context) { h(c.Writer, c.Request) })
		return around.handler(e)
	}},
	"echo": {route: "/users/:id", make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler {
		e := echo.New()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { wrapper.SetRoute(c.Request().Context(), c.Path()); return next(c) }
		})
		e.Any("/users/:id", func(c echo.Context) error { h(c.Response(), c.Request()); return nil })
		return around.handler(e)
	}},
	"inside TimeoutHandler": {route: template, make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler {
		return http.TimeoutHandler(around.handler(serveMux(h)), time.Minute, "too slow")
	}},
	"around TimeoutHandler": {route: template, make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler {
		return around.handler(http.TimeoutHandler(wrapper.Route(nil)(serveMux(h)), time.Minute, "too slow"))
	}},
	"inside gzip": {route: template, make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler {
		return gzhttp.GzipHandler(around.handler(serveMux(h)))
	}},
	"around gzip": {route: template, make: func(_ *testing.T, around parts, h http.HandlerFunc) http.Handler {
		return around.handler(gzhttp.GzipHandler(wrapper.Route(nil)(serveMux(h))))
	}},
	"proxy to HTTP/1.1": {proxy: true, make: proxied(false)},
	"proxy to HTTP/2":   {proxy: true, make: proxied(true)},
}

// proxied is a proxy with a wrapper around itself and in its transport.
func proxied(h2 bool) func(t *testing.T, around parts, h http.HandlerFunc) http.Handler {
	return func(t *testing.T, around parts, h http.HandlerFunc) http.Handler {
		s := httptest.NewUnstartedServer(serveMux(h))
		s.EnableHTTP2, s.Config.ErrorLog = h2, quiet()
		if h2 {
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		to, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		return around.handler(&httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
			Transport: around.transport(s.Client().Transport), FlushInterval: -1, ErrorLog: quiet(),
		})
	}
}
