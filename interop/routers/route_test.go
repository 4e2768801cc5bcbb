package routers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/wrapper"
)

// calls hands on the calls that ended.
type calls chan wrapper.Call

func (calls) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (c calls) End(_ context.Context, call *wrapper.Call)                { c <- *call }

// named are routers with the hook of one line that docs/wrapper.md shows.
var named = map[string]struct {
	route string
	make  func() http.Handler
}{
	"chi": {"/users/{id}", func() http.Handler {
		r := chi.NewRouter()
		r.Use(wrapper.Route(func(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }))
		r.Get("/users/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, chi.URLParam(r, "id")) })
		return r
	}},
	"chi, mounted": {"/v1/users/{id}", func() http.Handler {
		r := chi.NewRouter()
		r.Use(wrapper.Route(func(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }))
		r.Route("/v1", func(r chi.Router) {
			r.Get("/users/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, chi.URLParam(r, "id")) })
		})
		return r
	}},
	"gorilla": {"/users/{id}", func() http.Handler {
		r := mux.NewRouter()
		r.Use(wrapper.Route(func(r *http.Request) string { t, _ := mux.CurrentRoute(r).GetPathTemplate(); return t }))
		r.HandleFunc("/users/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, mux.Vars(r)["id"]) })
		return r
	}},
	"gin": {"/users/:id", func() http.Handler {
		e := gin.New()
		e.Use(func(c *gin.Context) { wrapper.SetRoute(c.Request.Context(), c.FullPath()) })
		e.GET("/users/:id", func(c *gin.Context) { c.String(200, c.Param("id")) })
		return e
	}},
	"echo": {"/users/:id", func() http.Handler {
		e := echo.New()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { wrapper.SetRoute(c.Request().Context(), c.Path()); return next(c) }
		})
		e.GET("/users/:id", func(c echo.Context) error { return c.String(200, c.Param("id")) })
		return e
	}},
	"ServeMux behind TimeoutHandler": {"/users/{id}", func() http.Handler {
		m := http.NewServeMux()
		m.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.PathValue("id")) })
		return http.TimeoutHandler(wrapper.Route(nil)(m), time.Minute, "")
	}},
}

func TestRoutesAreKnown(t *testing.T) {
	for name, c := range named {
		t.Run(name, func(t *testing.T) {
			ended, lines := make(calls, 10), &strings.Builder{}
			lg, err := log.New(log.ToWriter(lines, log.JSON()))
			if err != nil {
				t.Fatal(err)
			}
			w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithObserver(ended), wrapper.WithLog(lg), wrapper.WithSlow(1))
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewServer(w.Handler(c.make()))
			defer s.Close()
			path := strings.NewReplacer("{id}", "17", ":id", "17").Replace(c.route)
			for _, q := range []struct{ path, status, body, method, route string }{
				{path, "200 OK", "17", "GET " + c.route, c.route},
				{"/nowhere/17", "404 Not Found", "", "GET", ""},
			} {
				resp, err := http.Get(s.URL + q.path)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.Status != q.status || q.body != "" && string(b) != q.body {
					t.Errorf("%s: %s %q", q.path, resp.Status, b)
				}
				call := <-ended
				if strings.Contains(call.Route, "17") || q.route != "" && (call.Method != q.method || call.Route != q.route) {
					t.Errorf("%s: method %q, route %q; want %q and %q", q.path, call.Method, call.Route, q.method, q.route)
				}
			}
			if err := w.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if want := fmt.Sprintf(`"http.route":%q`, c.route); strings.Count(lines.String(), want) != 1 {
				t.Errorf("the log has not %s once:\n%s", want, lines)
			}
		})
	}
}

// gin's Stream asks the writer for CloseNotify.
func TestGinStreams(t *testing.T) {
	w, err := wrapper.New(wrapper.WithName("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	e := gin.New()
	e.GET("/events", func(c *gin.Context) {
		n := 0
		c.Stream(func(out io.Writer) bool { n++; fmt.Fprintf(out, "%d;", n); return n < 3 })
	})
	s := httptest.NewServer(w.Handler(e))
	defer s.Close()
	resp, err := http.Get(s.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(b) != "1;2;3;" {
		t.Errorf("got %d %q", resp.StatusCode, b)
	}
}
