package post_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/post"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestAddresses(t *testing.T) {
	secure := &tls.Config{}
	for name, c := range map[string]struct {
		addr   string
		client *http.Client
		tls    *tls.Config
		base   string
		path   string
		err    string // "": it is taken
	}{
		"host":                {"h", nil, nil, "http://h:4318", "", ""},
		"host and port":       {"h:1", nil, nil, "http://h:1", "", ""},
		"http":                {"http://h/a/b", nil, nil, "http://h:4318", "a/b", ""},
		"https":               {"https://h", nil, nil, "https://h:443", "", ""},
		"TLS":                 {"h", nil, secure, "https://h:4318", "", ""},
		"https and TLS":       {"https://h:1", nil, secure, "https://h:1", "", ""},
		"a client":            {"https://h", http.DefaultClient, nil, "https://h:443", "", ""},
		"a client and TLS":    {"h", http.DefaultClient, secure, "", "", "a client of your own"},
		"http and TLS":        {"http://h", nil, secure, "", "", "says http, want https"},
		"another scheme":      {"ftp://h", nil, nil, "", "", "unknown scheme"},
		"no address":          {"", nil, nil, "", "", "empty address"},
		"a port that is none": {"h:70000", nil, nil, "", "", "want 1 to 65535"},
	} {
		s, err := post.Open(c.addr, 4318, c.client, c.tls)
		if c.err != "" {
			if s != nil || !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, %v, want %q", name, s, err, c.err)
			}
			continue
		}
		if err != nil || s.Base != c.base || s.Path != c.path {
			t.Errorf("%s: %+v, %v, want %s and %q", name, s, err, c.base, c.path)
		}
	}
}

// A request has the credentials of the address, if it has any, and says that it is part
// of no trace. A redirect to elsewhere is not followed with them.
func TestRequests(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed: %s", r.URL)
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if r.URL.Path == "/away" {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprintln(w, r.URL.Path, r.Header.Get("B3"), ok, user, password)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, c := range []struct{ addr, path, want string }{
		{host, "/a", "/a 0 false  \n"},
		{"http://" + host, "/a", "/a 0 false  \n"},
		{"http://ann:s3cret@" + host, "/a", "/a 0 true ann s3cret\n"},
		{"http://ann@" + host, "/a", "/a 0 true ann \n"},
		{"http://ann:s3cret@" + host, "/away", ""},
	} {
		s, err := post.Open(c.addr, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.Base+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Do(req)
		if c.want == "" {
			if resp != nil || !errors.Is(err, fault.Unavailable) {
				t.Errorf("%s: a redirect to elsewhere: %v", c.addr, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.addr, err)
		} else {
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != c.want || err != nil {
				t.Errorf("%s: the server got %q, %v, want %q", c.addr, got, err, c.want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A client of the user's sends as it is set up, and stays as it is at Close.
func TestTheUsersClient(t *testing.T) {
	var closed bool
	client := &http.Client{Transport: &told{RoundTripper: http.DefaultTransport, closed: &closed}}
	s, err := post.Open("h", 1, client, nil)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.Base, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.Do(req); resp != nil || !errors.Is(err, fault.Unavailable) || !errors.Is(err, errSent) {
		t.Errorf("Do: %v", err)
	}
	if err := s.Close(); err != nil || closed {
		t.Errorf("Close: %v, and the user's connections are closed: %v", err, closed)
	}
}

var errSent = errors.New("sent by the user's client")

// told is a transport that sends nothing.
type told struct {
	http.RoundTripper
	closed *bool
}

func (r *told) RoundTrip(*http.Request) (*http.Response, error) { return nil, errSent }
func (r *told) CloseIdleConnections()                           { *r.closed = true }

// Close leaves no connection, also of those that could serve again.
func TestCloseLeavesNoConnection(t *testing.T) {
	states := make(chan http.ConnState, 20)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // no body: it is idle once it has answered
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
	server.Start()
	defer server.Close()
	s, err := post.Open(server.URL, 1, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.Base, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	timeout := time.After(30 * time.Second)
	for {
		select {
		case state := <-states:
			if state == http.StateClosed {
				return
			}
		case <-timeout:
			t.Fatal("a connection is open after Close")
		}
	}
}

// What was packed is what was given, whatever was packed before.
func TestPackedBodies(t *testing.T) {
	for n := range 5 {
		body := bytes.Repeat([]byte{byte('a' + n)}, 2000+n)
		packed, ok := post.Pack(body)
		if !ok {
			t.Fatalf("%d bytes are not packed", len(body))
		}
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes of %q: %v", len(got), got[:min(len(got), 10)], err)
		}
	}
}

// A date is a pause from now on, to the second.
func TestRetryAfterADate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for after, want := range map[time.Duration]time.Duration{
			-time.Second: 0, 0: 0, time.Second: time.Second, post.Longest - time.Second: post.Longest - time.Second,
			post.Longest: post.Longest, post.Longest + time.Second: post.Longest,
		} {
			h := http.Header{"Retry-After": {time.Now().Add(after).UTC().Format(http.TimeFormat)}}
			if got := post.RetryAfter(h); got != want {
				t.Errorf("after %v: %v, want %v", after, got, want)
			}
		}
	})
}
