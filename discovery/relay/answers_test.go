package relay

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/internal/fault"
)

// relays answers requests by host.
type relays map[string]func(r *http.Request) (*http.Response, error)

func (all relays) RoundTrip(r *http.Request) (*http.Response, error) { return all[r.URL.Host](r) }

// closing counts the answers that were not closed.
type closing struct {
	io.Reader
	open *int
}

func (c closing) Close() error { *c.open--; return nil }

func says(open *int, status int, text string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		*open++
		return &http.Response{StatusCode: status, Body: closing{strings.NewReader(text), open}, Header: http.Header{}}, nil
	}
}

func fails(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func reader(all relays, bases ...string) *driver {
	return &driver{bases: bases, client: &http.Client{Transport: all}, own: &http.Transport{}, header: http.Header{}}
}

func TestAnswersOfARelay(t *testing.T) {
	open := 0
	sorry := errors.New("sorry")
	for _, c := range []struct {
		what     string
		say      func(*http.Request) (*http.Response, error)
		ping     string // in the error; "": none
		services string
		names    []string
	}{
		{"names", says(&open, 200, `["a","b"]`), "", "", []string{"a", "b"}},
		{"no names", says(&open, 200, `null`), "", "", nil},
		{"no content", says(&open, 204, ""), "", "EOF", nil},
		{"no JSON", says(&open, 200, "<html>"), "", "invalid character", nil},
		{"an odd status", says(&open, 300, "choose"), "status 300: choose", "status 300: choose", nil},
		{"an error", says(&open, 503, " too many \n"), "status 503: too many", "status 503: too many", nil},
		{"a long error", says(&open, 500, strings.Repeat("x", 512)+"y"), "xxx", "xxx", nil},
		{"no answer", fails(sorry), "sorry", "sorry", nil},
	} {
		d := reader(relays{"one": c.say}, "http://user:secret@one/x")
		err := d.Ping(t.Context())
		names, also := d.Services(t.Context())
		for i, got := range []error{err, also} {
			want := []string{c.ping, c.services}[i]
			if (got == nil) != (want == "") || want != "" && (!errors.Is(got, fault.Unavailable) || !strings.Contains(got.Error(), want)) {
				t.Errorf("%s: %v, want %q", c.what, got, want)
			}
			if got != nil && (strings.Contains(got.Error(), "secret") || strings.Contains(got.Error(), "xy")) {
				t.Errorf("%s: %v says too much", c.what, got)
			}
		}
		if !reflect.DeepEqual(names, c.names) {
			t.Errorf("%s: names %v, want %v", c.what, names, c.names)
		}
		if open != 0 {
			t.Errorf("%s: %d answers were left open", c.what, open)
		}
	}
}

func TestTheRelayThatAnsweredIsAskedFirst(t *testing.T) {
	open := 0
	var asked []string
	all := relays{}
	well := map[string]bool{"b": true, "c": true}
	for _, name := range []string{"a", "b", "c"} {
		all[name] = func(r *http.Request) (*http.Response, error) {
			asked = append(asked, name+r.URL.Path+r.Header.Get("Authorization"))
			if !well[name] {
				return nil, fmt.Errorf("%s is down", name)
			}
			return says(&open, 200, "[]")(r)
		}
	}
	d := reader(all, "http://a/d", "http://b/d", "http://c/d")
	d.header.Set("Authorization", " key")
	ask := func(want string) {
		t.Helper()
		asked = nil
		err := d.Ping(t.Context())
		if got := strings.Join(asked, ", "); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
		if (err == nil) != (well["a"] || well["b"] || well["c"]) {
			t.Errorf("%v: %v", well, err)
		}
		if err != nil && !strings.Contains(err.Error(), "http://a/d: a is down") {
			t.Errorf("%v, want each relay with its error", err)
		}
	}
	ask("a/d/ping key, b/d/ping key")
	ask("b/d/ping key")
	well["b"], well["a"] = false, true
	ask("b/d/ping key, c/d/ping key")
	well["c"] = false
	ask("c/d/ping key, a/d/ping key")
	well["a"] = false
	ask("a/d/ping key, b/d/ping key, c/d/ping key")
}

func TestNobodyElseIsAskedForWhoIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	all := relays{
		"a": func(r *http.Request) (*http.Response, error) {
			cancel()
			<-r.Context().Done()
			return nil, errors.New("cut")
		},
		"b": func(*http.Request) (*http.Response, error) {
			t.Error("the second was asked")
			return nil, errors.New("b")
		},
	}
	if err := reader(all, "http://a", "http://b").Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestARelayThatSaysNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := reader(relays{"a": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, &url.Error{Op: "Get", URL: "secret", Err: r.Context().Err()}
		}}, "http://a")
		began := time.Now()
		err := d.Ping(t.Context())
		if took := time.Since(began); took != answerTime || !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "no answer within 5s") {
			t.Errorf("%v after %v, want no answer after %v", err, took, answerTime)
		}
	})
}

// seen is an update with the fates of the instances a, b and c.
func seen(u discovery.Update) string {
	text := ""
	for _, in := range u.Instances {
		text += in.ID
	}
	text += " "
	for _, id := range []string{"a", "b", "c"} {
		text += map[discovery.Fate]string{discovery.Deregistered: "d", discovery.Expired: "e", discovery.Unknown: "u"}[u.Fate(id)]
	}
	if u.Same {
		text += " same"
	}
	if u.Age > 0 {
		text += " " + u.Age.String()
	}
	if u.Stale != nil {
		text += " " + u.Stale.Error()
	}
	return text
}

// Each line is an update; a stream that falls silent has ended.
func TestLinesOfAStream(t *testing.T) {
	const ab = `{"instances":[{"service":"s","id":"a"},{"service":"s","id":"b"}]}`
	for _, c := range []struct {
		what  string
		lines []string // with the time before each; "!": the end of the stream
		want  []string
		err   string
		after time.Duration
	}{
		{"a set, and its end", []string{ab, "!"}, []string{"ab uuu"}, "stream ended", 0},
		{"a set that changes", []string{ab, `{"instances":[{"id":"a"}]}`, "!"}, []string{"ab uuu", "a ddd"}, "stream ended", 0},
		{"some preserved at first", []string{`{"instances":[{"id":"a"},{"id":"b"}],"preserved":1}`, "!"},
			[]string{"ab uuu", "a ueu"}, "stream ended", 0},
		{"some preserved later", []string{ab, `{"instances":[{"id":"a"},{"id":"b"}],"preserved":1}`, "!"},
			[]string{"ab uuu", "a ded"}, "stream ended", 0},
		{"a stale one", []string{ab, `{"same":true,"age_ms":1500,"stale":"cut off"}`, "!"},
			[]string{"ab uuu", " ddd same 1.5s backend unavailable: relay: cut off"}, "stream ended", 0},
		{"silence", []string{ab}, []string{"ab uuu"}, "stream ended", silence},
		{"silence from the start", nil, nil, "stream ended", silence},
		{"signs of life", []string{ab, "20s", `{"same":true}`, "20s", `{"same":true}`}, []string{"ab uuu", " ddd same", " ddd same"}, "stream ended", 40*time.Second + silence},
		{"a long line", []string{`{"instances":[{"id":"a","version":"` + strings.Repeat("x", 1<<17) + `"}]}`, "!"}, []string{"a uuu"}, "stream ended", 0},
		{"no JSON", []string{ab, "{"}, []string{"ab uuu"}, "unexpected end", 0},
		{"more preserved than there are", []string{`{"instances":[{"id":"a"}],"preserved":2}`}, nil, "a line with 2 of 1", 0},
		{"all preserved", []string{`{"instances":[{"id":"a"}],"preserved":1}`, "!"}, []string{"a uuu", " euu"}, "stream ended", 0},
		{"fewer than none preserved", []string{`{"preserved":-1}`}, nil, "a line with -1 of 0", 0},
		{"from the future", []string{`{"age_ms":-1}`}, nil, "-1 ms old", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			in, out := io.Pipe()
			closed := make(chan struct{})
			d := reader(relays{"a": func(r *http.Request) (*http.Response, error) {
				if r.URL.Path != "/watch/s" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				return &http.Response{StatusCode: 200, Body: in}, nil
			}}, "http://a")
			go func() {
				defer close(closed)
				for _, l := range c.lines {
					if l == "!" {
						out.Close()
						return
					}
					if d, err := time.ParseDuration(l); err == nil {
						time.Sleep(d)
						continue
					}
					_, _ = io.WriteString(out, l+"\n")
				}
			}()
			began := time.Now()
			var got []string
			err := d.Watch(t.Context(), "shop/s", func(u discovery.Update) { got = append(got, seen(u)) })
			if took := time.Since(began); took != c.after || !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v after %v, want %q after %v", c.what, err, took, c.err, c.after)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %q, want %q", c.what, got, c.want)
			}
			<-closed
			if _, err := in.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: the answer was left open", c.what)
			}
		})
	}
}

func TestAWatchThatNobodyWantsEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := reader(relays{"a": func(r *http.Request) (*http.Response, error) {
		in, out := io.Pipe()
		context.AfterFunc(r.Context(), func() { out.CloseWithError(r.Context().Err()) })
		go io.WriteString(out, "{}\n")
		return &http.Response{StatusCode: 200, Body: in}, nil
	}}, "http://a")
	if err := d.Watch(ctx, "s", func(discovery.Update) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch = %v, want the end of the context", err)
	}
}

func TestWhatIsSaidOfASnapshot(t *testing.T) {
	at := time.Now().Add(-time.Minute)
	for _, c := range []struct {
		s     discovery.Snapshot
		stale string
		old   bool
	}{
		{discovery.Snapshot{State: discovery.Live, AsOf: at, Err: errors.New("sorry")}, "", false},
		{discovery.Snapshot{State: discovery.Stale, AsOf: at, Err: errors.New("sorry")}, "sorry", true},
		{discovery.Snapshot{State: discovery.Stale, AsOf: at}, "stale", true},
	} {
		if l := full(c.s); l.Stale != c.stale || (l.Age >= 60_000) != c.old || !c.old && l.Age != 0 {
			t.Errorf("%+v: %+v", c.s, l)
		}
	}
}

func TestHeadsOfAHandlersAnswers(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h, err := Handler(d)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		path string
		code int
		kind string
	}{
		{t.Context(), "/ping", 204, ""},
		{t.Context(), "/services", 200, "application/json"},
		{ended, "/services", 503, "text/plain; charset=utf-8"},
		{t.Context(), "/watch/a%2Fb", 400, "text/plain; charset=utf-8"},
		{t.Context(), "/none", 404, "text/plain; charset=utf-8"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(c.ctx, "GET", c.path, nil))
		if w.Code != c.code || w.Header().Get("Content-Type") != c.kind {
			t.Errorf("%s: %d %s %s, want %d %s", c.path, w.Code, w.Header(), w.Body, c.code, c.kind)
		}
	}
}

func TestOptionsThatAreNone(t *testing.T) {
	for what, c := range map[string]struct {
		o    discovery.Option
		want string // in the error
	}{
		"nil":      {Backend("http://a", nil), "option 1 is nil"},
		"client":   {Backend("http://a", WithClient(nil)), "nil client"},
		"header":   {Backend("http://a", WithHeader("", "x")), `header ""`},
		"name":     {Backend("http://a", WithHeader("a b", "x")), `header "a b"`},
		"value":    {Backend("http://a", WithHeader("a", "x\r\ny: z")), `header "a"`},
		"TLS":      {Backend("http://a", WithTLS(&tls.Config{})), "not https"},
		"TLS, too": {Backend("https://a,http://b", WithTLS(&tls.Config{})), "http://b is not https"},
	} {
		if _, err := discovery.New(c.o, discovery.WithLazy()); !errors.Is(err, discovery.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrInvalid with %q", what, err, c.want)
		}
	}
}

func TestRefusalsOfAHandler(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{{fault.New(fault.Invalid, "discovery", "get", "", "odd\nname"), 400}, {discovery.ErrUnavailable, 503}, {errors.New("what"), 503}} {
		w := httptest.NewRecorder()
		refuse(w, c.err)
		if text := w.Body.String(); w.Code != c.code || strings.Count(text, "\n") != 1 {
			t.Errorf("%v: %d %q, want %d and one line", c.err, w.Code, text, c.code)
		}
	}
}

// broken is an answer that can't be written.
type broken struct {
	*httptest.ResponseRecorder
	deadline, write error
	writes          int

	mu    sync.Mutex
	until time.Time
}

func (b *broken) SetWriteDeadline(at time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = at
	return b.deadline
}

func (b *broken) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ResponseRecorder.Flush()
}

func (b *broken) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes++
	if b.write != nil {
		return 0, b.write
	}
	return b.ResponseRecorder.Write(p)
}

func TestAHandlerEndsAStreamThatNobodyReads(t *testing.T) {
	sorry := errors.New("sorry")
	d, err := discovery.New(static.Backend(static.Addresses("s", "h:1")...))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h, err := Handler(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*broken{{deadline: sorry}, {write: sorry}} {
		w.ResponseRecorder = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/watch/s", nil)) // returns
		if w.writes > 1 || w.deadline != nil && w.writes > 0 {
			t.Errorf("%d writes after %v, %v", w.writes, w.deadline, w.write)
		}
	}
}

// A stream that says nothing new says so every ten seconds.
func TestAHandlersSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := discovery.New(static.Backend(static.Addresses("s", "h:1")...))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		h, err := Handler(d)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := &broken{ResponseRecorder: httptest.NewRecorder(), deadline: http.ErrNotSupported}
		ended := make(chan struct{})
		go func() {
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/watch/s", nil))
			close(ended)
		}()
		for i, want := range []string{"h:1", "same", "same"} {
			synctest.Wait()
			w.mu.Lock()
			lines, flushed, until := strings.Split(strings.TrimSpace(w.Body.String()), "\n"), w.Flushed, w.until
			w.mu.Unlock()
			var l line
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &l); err != nil || len(lines) != i+1 {
				t.Fatalf("after %d beats: %q, %v", i, lines, err)
			}
			if l.Same != (want == "same") || l.Same == (len(l.Instances) == 1) {
				t.Errorf("after %d beats: %+v, want %s", i, l, want)
			}
			if !flushed || time.Until(until) != 2*beat {
				t.Errorf("after %d beats: flushed %v, until %v", i, flushed, time.Until(until))
			}
			time.Sleep(beat)
		}
		cancel()
		<-ended
		if h := w.Header(); h.Get("Content-Type") != "application/x-ndjson" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
			t.Errorf("head %v", h)
		}
	})
}

// hot is a discovery that knows an instance and can't be watched.
type hot struct{ discovery.Discovery }

func (hot) Watch(context.Context, string) iter.Seq2[discovery.Snapshot, error] { panic("no watch") }

// A discovery that panics ends the stream, not the process.
func TestAHandlerOutlivesAPanic(t *testing.T) {
	d, err := discovery.New(static.Backend(static.Addresses("s", "h:1")...))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h, err := Handler(hot{d})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/watch/s", nil)) // returns
	if !strings.Contains(w.Body.String(), "h:1") {
		t.Errorf("%d %s, want the first snapshot", w.Code, w.Body)
	}
}
