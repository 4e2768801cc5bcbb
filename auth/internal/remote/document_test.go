package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// paper is a document whose text, or error, a test decides.
type paper struct {
	*Document[string]
	life    *life.Life
	text    string
	err     error
	fetches int
	open    int // bodies that were not closed
	accept  string
}

func newPaper(address string) *paper {
	p := &paper{life: life.New()}
	parse := func(b []byte) (string, error) { return string(b), nil }
	p.Document = New(p.life, &http.Client{Transport: p}, 5*time.Second, parse, address)
	return p
}

func (p *paper) RoundTrip(r *http.Request) (*http.Response, error) {
	p.fetches++
	p.accept = r.Header.Get("Accept")
	if p.err != nil {
		return nil, p.err
	}
	p.open++
	return &http.Response{StatusCode: 200, Body: body{strings.NewReader(p.text), p}, Request: r}, nil
}

type body struct {
	io.Reader
	*paper
}

func (b body) Close() error { b.paper.open--; return nil }

// step waits and then asks for the document.
type step struct {
	name    string
	after   time.Duration
	text    string // "": the server fails
	ask     func(*Document[string], context.Context) (string, error)
	want    string // "": ErrUnavailable
	fetches int    // so far, once all is quiet
}

func run(t *testing.T, steps []step) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPaper("https://issuer/keys")
		defer p.life.Close(nil)
		for _, s := range steps {
			time.Sleep(s.after)
			p.text, p.err = s.text, nil
			if s.text == "" {
				p.err = errors.New("down")
			}
			got, err := s.ask(p.Document, t.Context())
			synctest.Wait()
			if got != s.want || (err == nil) != (s.want != "") || err != nil && !errors.Is(err, fault.Unavailable) || p.fetches != s.fetches {
				t.Errorf("%s: %q, %v after %d fetches; want %q after %d", s.name, got, err, p.fetches, s.want, s.fetches)
			}
			if p.open != 0 {
				t.Errorf("%s: %d bodies were not closed", s.name, p.open)
			}
		}
	})
}

var (
	get   = (*Document[string]).Get
	renew = (*Document[string]).Renew
)

func TestACopyIsRenewedBehindItsReaders(t *testing.T) {
	run(t, []step{
		{"the first", 0, "one", get, "one", 1},
		{"while it is fresh", 53 * time.Minute, "two", get, "one", 1},
		{"when it is not, the old one goes out", 8 * time.Minute, "two", get, "one", 2},
		{"and then the new one", 0, "three", get, "two", 2},
		{"a renewal that fails", 61 * time.Minute, "", get, "two", 3},
		{"is not repeated at once", 0, "", get, "two", 3},
		{"but later", time.Minute, "four", get, "two", 4},
		{"", 0, "five", get, "four", 4},
	})
}

func TestACopyGetsTooOld(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		want string
	}{{48*time.Hour - 1, "one"}, {48 * time.Hour, ""}, {48*time.Hour + 1, ""}} {
		run(t, []step{
			{"the first", 0, "one", get, "one", 1},
			{fmt.Sprint("after ", c.age), c.age, "", get, c.want, 2},
		})
	}
}

func TestAFirstFetchThatFailsIsNotRepeatedAtOnce(t *testing.T) {
	run(t, []step{
		{"the first", 0, "", get, "", 1},
		{"again", 0, "one", get, "", 1},
		{"asked to renew", 0, "one", renew, "", 1},
		{"later", time.Minute, "one", get, "one", 2},
	})
}

func TestRenewalsAreBounded(t *testing.T) {
	run(t, []step{
		{"the first", 0, "one", get, "one", 1},
		{"one", 0, "two", renew, "two", 2},
		{"two", 0, "three", renew, "three", 3},
		{"too many", 0, "four", renew, "three", 3},
		{"a little early", 30*time.Second - 1, "four", renew, "three", 3},
		{"in time", 1, "four", renew, "four", 4},
		{"a failure leaves the copy", time.Hour, "", renew, "four", 5},
		{"once more, too early", 0, "five", renew, "four", 5},
	})
}

func TestErrorsOfFetches(t *testing.T) {
	p := newPaper("https://issuer/keys?key=hunter2")
	p.err = errors.New("down")
	_, err := p.Get(t.Context())
	if !errors.Is(err, fault.Unavailable) || !strings.HasSuffix(err.Error(), ": down") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a server that fails: %v", err)
	}
	if p.accept != "application/json" {
		t.Errorf("Accept: %q", p.accept)
	}
	bad := newPaper("https://a b/keys")
	if _, err := bad.Get(t.Context()); !errors.Is(err, fault.Unavailable) || bad.fetches != 0 {
		t.Errorf("no URL: %v after %d fetches", err, bad.fetches)
	}
}

func TestWhoGivesUpGetsNoCopy(t *testing.T) {
	p := newPaper("https://issuer/keys")
	p.text = "one"
	if _, err := p.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := p.Renew(ctx); got != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("Renew = %q, %v, want Canceled", got, err)
	}
	p.life.Close(nil)
	closed := newPaper("https://issuer/keys")
	closed.life.Close(nil)
	if got, err := closed.Get(t.Context()); got != "" || !errors.Is(err, fault.Closed) || closed.fetches != 0 {
		t.Errorf("after Close: %q, %v after %d fetches", got, err, closed.fetches)
	}
}

func TestPublicAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:21f:cb07::1]:443": true,
		"": false, "example.com:443": false, "127.0.0.1:443": false, "[::1]:443": false, "10.0.0.1:443": false, "192.168.0.1:443": false,
		"169.254.169.254:80": false, "0.0.0.0:80": false, "[fe80::1]:443": false, "[fd00::1]:443": false, "[::ffff:10.0.0.1]:443": false, "224.0.0.1:80": false,
	} {
		if err := public(address); (err == nil) != ok {
			t.Errorf("%q: %v, want public %t", address, err, ok)
		}
	}
}

func TestRedirectsStayOnOneHost(t *testing.T) {
	request := func(to string) *http.Request {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{URL: u}
	}
	first := request("https://issuer/a")
	for _, c := range []struct {
		to  string
		via int
		ok  bool
	}{
		{"https://issuer/b", 1, true}, {"https://ISSUER/b", 1, true}, {"https://issuer/b", 3, true}, {"https://issuer/b", 4, false},
		{"http://issuer/b", 1, false}, {"https://issuer:8443/b", 1, false}, {"https://other/a", 1, false},
	} {
		via := []*http.Request{first}
		for len(via) < c.via {
			via = append(via, request("https://issuer/c"))
		}
		if err := sameHost(request(c.to), via); (err == nil) != c.ok {
			t.Errorf("to %s after %d requests: %v, want success %t", c.to, c.via, err, c.ok)
		}
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://issuer/a", "https://issuer/b", true}, {"https://issuer/a", "https://Issuer/a", true}, {"https://issuer", "http://issuer", false},
		{"https://issuer", "https://issuer:8443", false}, {":", "https://issuer", false}, {"https://issuer", ":", false}, {":", ":", false},
	} {
		if got := SameOrigin(c.a, c.b); got != c.same {
			t.Errorf("SameOrigin(%s, %s) = %t", c.a, c.b, got)
		}
	}
}

// A fetch that succeeds just when its caller gives up is an answer or an error, and never
// an empty document without one.
func TestAnAnswerAtTheEndOfACall(t *testing.T) {
	p := newPaper("https://issuer/keys")
	defer p.life.Close(nil)
	p.text = "one"
	if got, err := p.Get(t.Context()); got != "one" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	done := &flight{done: make(chan struct{})}
	close(done.done)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // both have happened: select takes any
		p.mu.Lock()
		if got, err := p.wait(ended, done); (got == "one") == (err != nil) || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("%q, %v", got, err)
		}
	}
}
