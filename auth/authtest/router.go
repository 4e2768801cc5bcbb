package authtest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
)

// Routes is what a router serves in RunRouter: for all methods
//
//	/public/…          Serve(w, r, "/public/", rest)
//	/admin/…           Serve(w, r, "/admin/", rest)
//	/users/{id}        Serve(w, r, "/users/", id)
//	/books/{id}/edit   Serve(w, r, "/books/", id, "/edit")
//
// with the values as the router gives them to its handlers.
type Routes struct {
	Serve func(w http.ResponseWriter, r *http.Request, parts ...string)
}

// Wrap puts the auth.Auth around the router: auth.Handler, or a middleware that
// does the same.
type Wrap func(a auth.Auth, router http.Handler) http.Handler

// RunRouter shows that what a policy decides on and what a router runs can't
// differ: it sends requests as strangers would, over HTTP/1.1 and HTTP/2, and
// compares what the policy was asked with the route and the values that the
// router found. route builds the router.
func RunRouter(t *testing.T, route func(Routes) http.Handler, wrap Wrap, opts ...RouterOption) {
	s := &routerSuite{}
	for _, opt := range opts {
		opt(s)
	}
	a, err := auth.New(auth.Local(auth.NewAuthority()), auth.WithService("orders"), auth.WithDecider(auth.DeciderFunc(s.decide)))
	if err != nil {
		t.Fatal(err)
	}
	token, err := a.Token(t.Context(), auth.Audience("orders"))
	if err != nil {
		t.Fatal(err)
	}
	s.token = string(token.AccessToken)
	srv := httptest.NewUnstartedServer(wrap(a, route(Routes{Serve: s.serve})))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Config.DisableGeneralOptionsHandler = true // so that "OPTIONS *" comes as far as we
	srv.Start()
	t.Cleanup(func() { srv.Close(); a.Close() })

	for _, c := range pathCases {
		if s.slashes && c.slashes != "" {
			c.want, c.runs = c.slashes, !c.nowhere
		}
		for _, p := range []struct {
			name string
			send func(*testing.T, string, pathCase) int
		}{{"HTTP/1.1", s.http1}, {"HTTP/2", s.http2}} {
			if p.name == "HTTP/2" && c.http1 {
				continue
			}
			for _, policy := range []auth.Effect{auth.Allow, auth.Deny} {
				s.reset(policy)
				status := p.send(t, strings.TrimPrefix(srv.URL, "http://"), c)
				name := fmt.Sprintf("%s %s %s, policy: %v", p.name, c.method, c.target, policy)
				s.judge(t, name, c, status, policy)
			}
		}
	}
}

// pathCase is a request and what must come of it.
type pathCase struct {
	method, target string
	want           string // what the policy is asked and the router reads; "": 400 before either
	http1          bool   // HTTP/2 has no such form
	runs           bool   // some route takes it, if the policy allows
	slashes        string // want, with EncodedSlashes
	nowhere        bool   // and then no route takes it
}

// RouterOption changes RunRouter.
type RouterOption func(*routerSuite)

// EncodedSlashes is for a Wrap that lets encoded slashes through, such as
// auth.Handler with auth.WithEncodedSlashes.
func EncodedSlashes() RouterOption { return func(s *routerSuite) { s.slashes = true } }

type routerSuite struct {
	token   string
	slashes bool // encoded slashes pass

	mu      sync.Mutex
	policy  auth.Effect // Deny: only what is below /public/
	decided []string
	served  []string
}

func (s *routerSuite) reset(e auth.Effect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy, s.decided, s.served = e, nil, nil
}

func (s *routerSuite) decide(_ context.Context, _ *auth.Token, r auth.Request) (auth.Decision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decided = append(s.decided, r.Resource)
	if s.policy == auth.Allow || strings.HasPrefix(r.Resource, "/public/") {
		return auth.Decision{Effect: auth.Allow}, nil
	}
	return auth.Decision{}, nil
}

func (s *routerSuite) serve(w http.ResponseWriter, _ *http.Request, parts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served = append(s.served, strings.Join(parts, ""))
	w.WriteHeader(http.StatusOK)
}

func (s *routerSuite) judge(t *testing.T, name string, c pathCase, status int, policy auth.Effect) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ran := range s.served {
		if len(s.decided) != 1 || s.decided[0] != ran {
			t.Errorf("%s: the policy was asked about %q, the router ran %q", name, s.decided, ran)
		}
		if policy == auth.Deny && !strings.HasPrefix(ran, "/public/") {
			t.Errorf("%s: the router ran %q, which the policy refuses", name, ran)
		}
	}
	switch {
	case c.want == "":
		if status != http.StatusBadRequest || len(s.served)+len(s.decided) > 0 {
			t.Errorf("%s: %d, policy %q, router %q; want 400 before either", name, status, s.decided, s.served)
		}
	case len(s.decided) != 1 || s.decided[0] != c.want:
		t.Errorf("%s: the policy was asked about %q, want %q", name, s.decided, c.want)
	case c.runs && (policy == auth.Allow || strings.HasPrefix(c.want, "/public/")):
		if status != http.StatusOK || len(s.served) != 1 {
			t.Errorf("%s: %d, the router ran %q, want %q", name, status, s.served, c.want)
		}
	case policy == auth.Deny && !strings.HasPrefix(c.want, "/public/") && status != http.StatusForbidden:
		t.Errorf("%s: %d, want 403", name, status)
	}
}

// http1 sends the target as it is: no client of Go's would.
func (s *routerSuite) http1(t *testing.T, addr string, c pathCase) int {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: orders\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", c.method, c.target, s.token)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.target, err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// http2 sends the target as :path. An opaque URL is not looked into.
func (s *routerSuite) http2(t *testing.T, addr string, c pathCase) int {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	target, query, _ := strings.Cut(c.target, "?")
	r := &http.Request{
		Method: c.method, Host: "orders", Header: http.Header{"Authorization": {"Bearer " + s.token}},
		URL: &url.URL{Scheme: "http", Host: addr, Opaque: "//orders" + target, RawQuery: query},
	}
	resp, err := tr.RoundTrip(r.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.target, err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
