package url_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/url"
)

func TestKindsOfAnswers(t *testing.T) {
	code := 0
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	for status, want := range map[int]error{
		404: config.ErrNotFound, 410: config.ErrNotFound, 401: config.ErrDenied, 403: config.ErrDenied,
		500: config.ErrUnavailable, 503: config.ErrUnavailable, 429: config.ErrUnavailable, 408: config.ErrUnavailable,
		400: config.ErrInvalid, 499: config.ErrInvalid, 204: config.ErrInvalid, 304: config.ErrInvalid,
	} {
		code = status
		src := url.Source(base)
		if err := src.(interface{ Open(context.Context) error }).Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := src.Read(t.Context()); !errors.Is(err, want) || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("status %d: %v, want %v", status, err, want)
		}
		src.(io.Closer).Close()
	}
}

func TestSizesOfDocuments(t *testing.T) {
	size := 0
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`+strings.Repeat(" ", size-2)) })
	for n, want := range map[int]error{config.MaxSize - 1: nil, config.MaxSize: nil, config.MaxSize + 1: config.ErrTooLarge} {
		size = n
		src := url.Source(base)
		if err := src.(interface{ Open(context.Context) error }).Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := src.Read(t.Context()); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
		src.(io.Closer).Close()
	}
}

// base is the transport of a client of your own; it counts bodies that stay open.
type base struct {
	open int
	err  error
	seen []*http.Request
	say  func(r *http.Request) *http.Response
}

type body struct {
	io.Reader
	*base
}

func (b body) Close() error { b.base.open--; return nil }

func (b *base) RoundTrip(r *http.Request) (*http.Response, error) {
	b.seen = append(b.seen, r)
	if b.err != nil {
		return nil, b.err
	}
	b.open++
	resp := b.say(r)
	resp.Request, resp.Body = r, body{resp.Body, b}
	return resp, nil
}

// What the server said of the last answer is said again with the next request,
// the tag before the date.
func TestConditionsOfRequests(t *testing.T) {
	const date = "Mon, 02 Nov 2026 10:00:00 GMT"
	for name, c := range map[string]struct{ etag, modified, match, since string }{
		"neither": {"", "", "", ""}, "a tag": {`"1"`, "", `"1"`, ""}, "a date": {"", date, "", date}, "both": {`"1"`, date, `"1"`, ""},
	} {
		b := &base{say: func(r *http.Request) *http.Response {
			if r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != "" {
				return &http.Response{StatusCode: 304, Header: http.Header{}, Body: http.NoBody}
			}
			h := http.Header{}
			h.Set("ETag", c.etag)
			h.Set("Last-Modified", c.modified)
			return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(`{"n":1}`))}
		}}
		src := url.Source("http://x/a", url.WithClient(&http.Client{Transport: b}))
		if err := src.(interface{ Open(context.Context) error }).Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			got, err := src.Read(t.Context())
			if err != nil || len(got.Parts) != 1 || string(got.Parts[0].Data) != `{"n":1}` {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
		for i, r := range b.seen {
			match, since := "", ""
			if i > 0 {
				match, since = c.match, c.since
			}
			if r.Header.Get("If-None-Match") != match || r.Header.Get("If-Modified-Since") != since || r.Header.Get("Prefer") != "" {
				t.Errorf("%s, request %d: %v", name, i, r.Header)
			}
		}
		if len(b.seen) != 3 || b.open != 0 {
			t.Errorf("%s: %d requests, %d bodies open", name, len(b.seen), b.open)
		}
	}
}

func TestErrorsBeforeAnAnswer(t *testing.T) {
	b := &base{err: errors.New("no route")}
	given := errors.New("no header")
	var refuse error
	src := url.Source("http://me:hunter2@x/a", url.WithClient(&http.Client{Transport: b}), url.WithRequest(func(*http.Request) error { return refuse }))
	if err := src.(interface{ Open(context.Context) error }).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Read(t.Context()); !errors.Is(err, config.ErrUnavailable) || !errors.Is(err, b.err) || strings.Contains(err.Error(), "http") {
		t.Errorf("no answer: %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := src.Read(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, config.ErrUnavailable) {
		t.Errorf("given up: %v, want Canceled", err)
	}
	refuse, b.seen = given, nil
	if _, err := src.Read(t.Context()); !errors.Is(err, config.ErrUnavailable) || !errors.Is(err, given) || len(b.seen) > 0 {
		t.Errorf("a request that is refused: %v, want ErrUnavailable", err)
	}
}

func TestCloseClosesConnections(t *testing.T) {
	closed := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) }))
	once := sync.OnceFunc(func() { close(closed) })
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			once()
		}
	}
	srv.Start()
	defer srv.Close()
	c, err := config.New(config.WithSource(url.Source(srv.URL)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("a connection is open")
	}
}
