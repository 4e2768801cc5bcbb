package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
)

func mux(r authtest.Routes) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/public/{rest...}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/public/", q.PathValue("rest")) })
	mux.HandleFunc("/admin/{rest...}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/admin/", q.PathValue("rest")) })
	mux.HandleFunc("/users/{id}", func(w http.ResponseWriter, q *http.Request) { r.Serve(w, q, "/users/", q.PathValue("id")) })
	mux.HandleFunc("/books/{id}/edit", func(w http.ResponseWriter, q *http.Request) {
		r.Serve(w, q, "/books/", q.PathValue("id"), "/edit")
	})
	return mux
}

func TestServeMuxAndPolicyReadOnePath(t *testing.T) {
	authtest.RunRouter(t, mux, func(a auth.Auth, h http.Handler) http.Handler { return auth.Handler(a, h) })
}

func TestEncodedSlashesAreReadInOneWay(t *testing.T) {
	authtest.RunRouter(t, mux, func(a auth.Auth, h http.Handler) http.Handler { return auth.Handler(a, h, auth.WithEncodedSlashes()) }, authtest.EncodedSlashes())
}

// An object's name comes to its handler whole.
func ExampleWithEncodedSlashes() {
	a, err := auth.New(auth.WithRules(auth.Rule{ID: "read", Effect: auth.Allow, Subjects: []string{"*"}, Actions: []string{"GET"}, Resources: []string{"/files/*"}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	token, err := a.Token(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /files/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(auth.DecodeSlashes(r.PathValue("name")))
	})
	r := httptest.NewRequest("GET", "/files/2026%2Fplan.txt", nil)
	r.Header.Set("Authorization", "Bearer "+string(token.AccessToken))
	auth.Handler(a, mux, auth.WithEncodedSlashes()).ServeHTTP(httptest.NewRecorder(), r)
	// Output: 2026/plan.txt
}

// A path that no client sent: middleware has been at it.
func TestNormalizePathOfMiddleware(t *testing.T) {
	for _, c := range []struct {
		name string
		url  url.URL
		path string // "": refused
	}{
		{"nothing to do", url.URL{Path: "/a"}, "/a"},
		{"StripPrefix left no slash", url.URL{Path: "a/b"}, "/a/b"},
		{"StripPrefix left nothing", url.URL{}, "/"},
		{"the same in its escaped form", url.URL{Path: "a b", RawPath: "a%20b"}, "/a b"},
		{"RawPath of another path", url.URL{Path: "/public", RawPath: "/admin"}, ""},
		{"RawPath that is longer", url.URL{Path: "/public", RawPath: "/public/x"}, ""},
		{"RawPath that is no encoding", url.URL{Path: "/public", RawPath: "/public%"}, ""},
		{"RawPath alone", url.URL{RawPath: "/admin"}, ""},
		{"RawPath with a slash hidden", url.URL{Path: "/a/b", RawPath: "/a%2Fb"}, ""},
		{"a slash less", url.URL{Path: "../admin"}, ""},
		{"a dot segment", url.URL{Path: "/./a"}, ""},
		{"a dot at the end", url.URL{Path: "/."}, ""},
		{"two dots at the end", url.URL{Path: "/.."}, ""},
		{"two dots", url.URL{Path: "/a/../b"}, ""},
		{"a name with a dot", url.URL{Path: "/.well-known/x"}, "/.well-known/x"},
		{"a backslash", url.URL{Path: `/a\\b`}, ""},
		{"DEL", url.URL{Path: "/a\x7fb"}, ""},
		{"a control character", url.URL{Path: "/a\x1fb"}, ""},
		{"a space", url.URL{Path: "/a b"}, "/a b"},
		{"UTF-8", url.URL{Path: "/caf\u00e9"}, "/caf\u00e9"},
		{"no UTF-8", url.URL{Path: "/a\xffb"}, ""},
		{"escaped twice", url.URL{Path: "/a%2fb"}, ""},
		{"escaped twice, a digit", url.URL{Path: "/a%39"}, ""},
		{"escaped twice, letters", url.URL{Path: "/a%aF"}, ""},
		{"escaped twice, others", url.URL{Path: "/a%Fa"}, ""},
		{"no hexadecimal", url.URL{Path: "/a%0g"}, "/a%0g"},
		{"nor this", url.URL{Path: "/a%g0"}, "/a%g0"},
		{"nor that", url.URL{Path: "/a%:0%@0%G0%/0"}, "/a%:0%@0%G0%/0"},
		{"a sign of percent", url.URL{Path: "/100%"}, "/100%"},
		{"a sign of percent and a digit", url.URL{Path: "/a%2"}, "/a%2"},
		{"opaque", url.URL{Scheme: "http", Opaque: "/admin"}, ""},
	} {
		given := c.url
		r := &http.Request{Method: "GET", URL: &given}
		got, err := auth.NormalizePath(r)
		if c.path == "" {
			if !errors.Is(err, auth.ErrPath) || !errors.Is(err, auth.ErrInvalid) || got != nil {
				t.Errorf("%s: %v, %v, want ErrPath", c.name, got, err)
			}
			continue
		}
		if err != nil || got.URL.Path != c.path || got.URL.RawPath != "" {
			t.Errorf("%s: %v, %v, want %q", c.name, got, err, c.path)
			continue
		}
		if given != c.url {
			t.Errorf("%s: the given request was changed to %+v", c.name, given)
		}
		if again, err := auth.NormalizePath(got); again != got || err != nil {
			t.Errorf("%s: a normal request is changed again: %v, %v", c.name, again, err)
		}
		// RequestFrom takes what is normal, and nothing that still would be changed.
		if req, err := auth.RequestFrom("s", got); err != nil || req.Resource != c.path || req.Service != "s" {
			t.Errorf("%s: RequestFrom = %+v, %v", c.name, req, err)
		}
		if _, err := auth.RequestFrom("s", r); (err == nil) != (got == r) {
			t.Errorf("%s: RequestFrom before: %v", c.name, err)
		}
	}
}

// A CONNECT is for a host and port; with a path it is like any other request.
func TestResourcesOfConnect(t *testing.T) {
	for _, c := range []struct {
		method, path, host, want string
	}{
		{"CONNECT", "", "proxy:443", "proxy:443"}, {"CONNECT", "/a", "proxy:443", "/a"}, {"CONNECT", "", "", "/"}, {"GET", "", "proxy:443", "/"},
	} {
		n, err := auth.NormalizePath(&http.Request{Method: c.method, URL: &url.URL{Host: c.host, Path: c.path}})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := auth.RequestFrom("s", n); err != nil || r.Resource != c.want {
			t.Errorf("%s %q %q: %q, %v, want %q", c.method, c.host, c.path, r.Resource, err, c.want)
		}
	}
}

func TestHandlerRefusesAPathBeforeWithoutAuth(t *testing.T) {
	orders, _, _ := world(t)
	ran := ""
	h := auth.Handler(orders, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ran = r.URL.EscapedPath() }),
		auth.WithoutAuth(func(r *http.Request) bool { return len(r.URL.Path) > 7 && r.URL.Path[:8] == "/public/" }))
	for target, want := range map[string]string{
		"/public/x": "/public/x", "/public/%61": "/public/a", "/public/%2e%2e/admin": "", "/admin": "",
	} {
		ran = ""
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
		if ran != want {
			t.Errorf("%s: the handler saw %q, want %q", target, ran, want)
		}
	}
}

func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/public/x", "/admin/%2e%2e/public/x", "/a%2fb", "/a%2f..%2fb", "/a%252fb", "//a", "/a;b", "/%ff", "*", "a:b", "http://h//x", "/a/./b", "/%252e"} {
		f.Add("GET", s)
		f.Add("CONNECT", s)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		onePath(t, method, target, u)
		onePath(t, method, target, u, auth.EncodedSlashes())
	})
}

// onePath fails if a path that NormalizePath takes is read in two ways.
func onePath(t *testing.T, method, target string, u *url.URL, opts ...auth.PathOption) {
	r := &http.Request{Method: method, URL: u, RequestURI: target}
	n, err := auth.NormalizePath(r, opts...)
	if err != nil {
		if !errors.Is(err, auth.ErrPath) {
			t.Fatalf("%q: %v", target, err)
		}
		return
	}
	req, err := auth.RequestFrom("", n, opts...)
	if err != nil {
		t.Fatalf("%q: RequestFrom after NormalizePath: %v", target, err)
	}
	if method == "CONNECT" && n.URL.Path == "" {
		return
	}
	// Whoever decodes, cleans or splits comes to the same path.
	decoded, err := url.PathUnescape(n.URL.EscapedPath())
	if err != nil || decoded != req.Resource || n.URL.Path != req.Resource || req.Resource[0] != '/' {
		t.Fatalf("%q: policy %q, escaped form %q", target, req.Resource, decoded)
	}
	given := u.Path
	if given == "" || given[0] != '/' {
		given = "/" + given
	}
	if got := auth.DecodeSlashes(req.Resource); got != given || path.Clean(got) != strings.TrimSuffix(got, "/") && got != "/" {
		t.Fatalf("%q: policy %q, which is %q", target, req.Resource, got)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{rest...}", func(_ http.ResponseWriter, r *http.Request) {
		if got := "/" + r.PathValue("rest"); got != req.Resource {
			t.Fatalf("%q: policy %q, ServeMux %q", target, req.Resource, got)
		}
	})
	w := httptest.NewRecorder()
	if mux.ServeHTTP(w, n); w.Code != 200 {
		t.Fatalf("%q: ServeMux answers %d", target, w.Code)
	}
}
