package wrapper_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/wrapper"
)

func TestServeMuxAndPolicyReadOnePath(t *testing.T) {
	route := func(r authtest.Routes) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/public/{rest...}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/public/", q.PathValue("rest")) })
		mux.HandleFunc("/admin/{rest...}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/admin/", q.PathValue("rest")) })
		mux.HandleFunc("/users/{id}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/users/", q.PathValue("id")) })
		mux.HandleFunc("/books/{id}/edit", func(w http.ResponseWriter, q *http.Request) {
			r.Serve(w, q, "/books/", q.PathValue("id"), "/edit")
		})
		return mux
	}
	authtest.RunRouter(t, route, func(a auth.Auth, h http.Handler) http.Handler { return newWrapper(t, wrapper.WithAuth(a)).Handler(h) })
	authtest.RunRouter(t, route, func(a auth.Auth, h http.Handler) http.Handler {
		return newWrapper(t, wrapper.WithAuth(a), wrapper.WithEncodedSlashes()).Handler(h)
	}, authtest.EncodedSlashes())
}

func TestPublicIsAskedAboutOnePath(t *testing.T) {
	a, err := auth.New()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ran := ""
	h := newWrapper(t, wrapper.WithAuth(a), wrapper.WithPublic(func(c *wrapper.Call) bool { return strings.HasPrefix(c.Resource, "/public/") })).
		Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ran = r.URL.Path }))
	for target, want := range map[string]struct {
		status int
		ran    string
	}{
		"/public/x":              {200, "/public/x"},
		"/%70ublic/x":            {200, "/public/x"},
		"/admin/%2e%2e/public/x": {400, ""},
		"/admin/../public/x":     {400, ""},
		"/admin/x":               {401, ""},
	} {
		ran = ""
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		if w.Code != want.status || ran != want.ran || w.Code == 400 && w.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d, the handler saw %q; want %d and %q", target, w.Code, ran, want.status, want.ran)
		}
	}
}

func TestPublicPathsNeedNoToken(t *testing.T) {
	a, err := auth.New()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	h := newWrapper(t, wrapper.WithAuth(a), wrapper.WithPublicPaths("/metrics", "/debug/"),
		wrapper.WithPublic(func(c *wrapper.Call) bool { return c.Resource == "/about" })).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for target, want := range map[string]int{
		"/metrics": 200, "/metrics/": 401, "/metricsx": 401, "/debug/": 200, "/debug/platform/x": 200, "/debug": 401, "/debugger": 401,
		"/debug/../orders": 400, "/debug/%2e%2e/orders": 400, "/x/debug/": 401, "/about": 200, "/orders": 401, "/livez": 200, "/": 401,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
	if _, err := wrapper.New(wrapper.WithName("x"), wrapper.WithPublicPaths("/ok", "debug/")); !errors.Is(err, wrapper.ErrInvalid) {
		t.Errorf("a path without a slash: %v", err)
	}
}

// Where no gate decides by the path, it is the router's business alone.
func TestWithoutGatesThePathIsLeftAlone(t *testing.T) {
	ran := ""
	h := newWrapper(t).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ran = r.URL.EscapedPath() }))
	for _, target := range []string{"/a/../b", "/a%2fb", "//a"} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("GET", target, nil)); w.Code != 200 || ran != target {
			t.Errorf("%s: %d, the handler saw %q", target, w.Code, ran)
		}
	}
}
