package routers

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/wrapper"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// routers are the settings that change how a path is read, too.
var routers = map[string]func(authtest.Routes) http.Handler{
	"chi": func(r authtest.Routes) http.Handler {
		m := chi.NewRouter()
		m.HandleFunc("/public/*", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/public/", chi.URLParam(q, "*")) })
		m.HandleFunc("/admin/*", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/admin/", chi.URLParam(q, "*")) })
		m.HandleFunc("/users/{id}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/users/", chi.URLParam(q, "id")) })
		m.HandleFunc("/books/{id}/edit", func(w http.ResponseWriter, q *http.Request) {
			r.Serve(w, q, "/books/", chi.URLParam(q, "id"), "/edit")
		})
		return m
	},
	"chi, mounted": func(r authtest.Routes) http.Handler {
		m := chi.NewRouter()
		for _, prefix := range []string{"/public", "/admin"} {
			m.Route(prefix, func(sub chi.Router) {
				sub.HandleFunc("/*", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, prefix, "/", chi.URLParam(q, "*")) })
			})
		}
		m.HandleFunc("/{kind}/{id}", func(w http.ResponseWriter, q *http.Request) {
			r.Serve(w, q, "/", chi.URLParam(q, "kind"), "/", chi.URLParam(q, "id"))
		})
		m.HandleFunc("/{kind}/{id}/edit", func(w http.ResponseWriter, q *http.Request) {
			r.Serve(w, q, "/", chi.URLParam(q, "kind"), "/", chi.URLParam(q, "id"), "/edit")
		})
		return m
	},
	"gorilla":                 gorilla(func(*mux.Router) {}, false),
	"gorilla, UseEncodedPath": gorilla(func(m *mux.Router) { m.UseEncodedPath() }, true),
	"gorilla, SkipClean":      gorilla(func(m *mux.Router) { m.SkipClean(true) }, false),
	"gin":                     ginRouter(func(*gin.Engine) {}),
	"gin, UseRawPath":         ginRouter(func(e *gin.Engine) { e.UseRawPath = true }),
	// With UnescapePathValues it would decode them as a query, "+" as a space.
	"gin, UseEscapedPath":       ginRouter(func(e *gin.Engine) { e.UseEscapedPath, e.UnescapePathValues = true, false }),
	"gin, RemoveExtraSlash":     ginRouter(func(e *gin.Engine) { e.RemoveExtraSlash = true }),
	"gin, RedirectFixedPath":    ginRouter(func(e *gin.Engine) { e.RedirectFixedPath = true }),
	"gin, UseRawPath, no unesc": ginRouter(func(e *gin.Engine) { e.UseRawPath, e.UnescapePathValues = true, false }),
	"echo": func(r authtest.Routes) http.Handler {
		e := echo.New()
		e.Any("/public/*", func(c echo.Context) error { r.Serve(c.Response(), c.Request(), "/public/", c.Param("*")); return nil })
		e.Any("/admin/*", func(c echo.Context) error { r.Serve(c.Response(), c.Request(), "/admin/", c.Param("*")); return nil })
		e.Any("/users/:id", func(c echo.Context) error { r.Serve(c.Response(), c.Request(), "/users/", c.Param("id")); return nil })
		e.Any("/books/:id/edit", func(c echo.Context) error {
			r.Serve(c.Response(), c.Request(), "/books/", c.Param("id"), "/edit")
			return nil
		})
		return e
	},
}

// decoded is for routers that give handlers escaped values when told to route on
// the escaped path: the handler decodes them, once.
func decoded(r authtest.Routes) authtest.Routes {
	return authtest.Routes{Serve: func(w http.ResponseWriter, q *http.Request, parts ...string) {
		for i, p := range parts {
			if v, err := url.PathUnescape(p); err == nil {
				parts[i] = v
			}
		}
		r.Serve(w, q, parts...)
	}}
}

func gorilla(set func(*mux.Router), escaped bool) func(authtest.Routes) http.Handler {
	return func(r authtest.Routes) http.Handler {
		m := mux.NewRouter()
		set(m)
		if escaped {
			r = decoded(r)
		}
		m.HandleFunc("/public/{rest:.*}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/public/", mux.Vars(q)["rest"]) })
		m.HandleFunc("/admin/{rest:.*}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/admin/", mux.Vars(q)["rest"]) })
		m.HandleFunc("/users/{id}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/users/", mux.Vars(q)["id"]) })
		m.HandleFunc("/books/{id}/edit", func(w http.ResponseWriter, q *http.Request) {
			r.Serve(w, q, "/books/", mux.Vars(q)["id"], "/edit")
		})
		return m
	}
}

func ginRouter(set func(*gin.Engine)) func(authtest.Routes) http.Handler {
	return func(r authtest.Routes) http.Handler {
		e := gin.New()
		set(e)
		if e.UseEscapedPath {
			r = decoded(r)
		}
		e.Any("/public/*rest", func(c *gin.Context) { r.Serve(c.Writer, c.Request, "/public", c.Param("rest")) })
		e.Any("/admin/*rest", func(c *gin.Context) { r.Serve(c.Writer, c.Request, "/admin", c.Param("rest")) })
		e.Any("/users/:id", func(c *gin.Context) { r.Serve(c.Writer, c.Request, "/users/", c.Param("id")) })
		e.Any("/books/:id/edit", func(c *gin.Context) { r.Serve(c.Writer, c.Request, "/books/", c.Param("id"), "/edit") })
		return e
	}
}

func TestPolicyAndRouterReadOnePath(t *testing.T) {
	for name, router := range routers {
		t.Run(name, func(t *testing.T) {
			t.Run("auth.Handler", func(t *testing.T) {
				authtest.RunRouter(t, router, func(a auth.Auth, h http.Handler) http.Handler { return auth.Handler(a, h) })
			})
			t.Run("encoded slashes", func(t *testing.T) {
				authtest.RunRouter(t, router, func(a auth.Auth, h http.Handler) http.Handler { return auth.Handler(a, h, auth.WithEncodedSlashes()) }, authtest.EncodedSlashes())
			})
			t.Run("wrapper.Handler", func(t *testing.T) {
				authtest.RunRouter(t, router, func(a auth.Auth, h http.Handler) http.Handler {
					w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithAuth(a))
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { w.Close(context.Background()) })
					return w.Handler(h)
				})
			})
		})
	}
}
