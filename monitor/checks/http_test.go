package checks_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/monitor/checks"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The client that is given makes the request, and http.DefaultClient where none or a nil
// one is.
func TestWhichClient(t *testing.T) {
	var own, others int
	answer := func(n *int) *http.Client {
		return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			*n++
			return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
		})}
	}
	before := http.DefaultClient
	http.DefaultClient = answer(&others)
	defer func() { http.DefaultClient = before }()
	for name, c := range map[string]struct {
		f           checks.Func
		own, others int
	}{
		"one":  {checks.HTTP("http://x", answer(&own)), 1, 0},
		"none": {checks.HTTP("http://x"), 0, 1},
		"nil":  {checks.HTTP("http://x", nil), 0, 1},
	} {
		own, others = 0, 0
		if err := c.f(t.Context()); err != nil || own != c.own || others != c.others {
			t.Errorf("%s: %v, %d requests by the client that was given, %d by the default", name, err, own, others)
		}
	}
}

func TestStatuses(t *testing.T) {
	for status, good := range map[int]bool{199: false, 200: true, 204: true, 299: true, 300: false, 304: false, 404: false, 500: false} {
		closed := false
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: body{strings.NewReader("x"), &closed}, Request: r}, nil
		})}
		if err := checks.HTTP("http://x", client)(t.Context()); (err == nil) != good || !closed {
			t.Errorf("%d: %v, the answer is closed: %v", status, err, closed)
		}
	}
}

type body struct {
	io.Reader
	closed *bool
}

func (b body) Close() error {
	if *b.closed {
		return errors.New("closed twice")
	}
	*b.closed = true
	return nil
}

// One connection is enough for many checks: answers are read to their end.
func TestConnectionsAreUsedAgain(t *testing.T) {
	var made atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 32<<10)) }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 5 {
		if err := checks.HTTP(s.URL, client)(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := made.Load(); n != 1 {
		t.Errorf("%d connections for five checks", n)
	}
}
