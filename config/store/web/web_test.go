package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	"github.com/micro/go-platform/config/store"
	storekv "github.com/micro/go-platform/config/store/kv"
	"github.com/micro/go-platform/config/store/web"
	"github.com/micro/go-platform/config/url"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
)

func TestMain(m *testing.M) { leak.Main(m) }

// anybody may do anything.
func anybody(*http.Request, string, bool) (string, error) { return "", nil }

// serve serves a store below /config/ until the test ends.
func serve(t *testing.T, st store.Store, allow web.Allow, opts ...web.Option) (*web.Handler, string) {
	t.Helper()
	return serveWithin(t, 0, st, allow, opts...)
}

// serveWithin is serve by a server with a WriteTimeout.
func serveWithin(t *testing.T, timeout time.Duration, st store.Store, allow web.Allow, opts ...web.Option) (*web.Handler, string) {
	t.Helper()
	h, err := web.New(st, allow, opts...)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/config/", http.StripPrefix("/config", h))
	s := httptest.NewUnstartedServer(mux)
	s.Config.WriteTimeout = timeout
	s.Start()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return h, s.URL + "/config/"
}

func open(t *testing.T, opts ...store.Option) store.Store {
	t.Helper()
	st, err := store.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func do(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// A program that follows a store over HTTP sees what one beside the engine does.
func TestLongPollConforms(t *testing.T) {
	for name, options := range map[string]func(t *testing.T) []store.Option{
		"memory": func(*testing.T) []store.Option { return nil },
		"redis": func(t *testing.T) []store.Option {
			shared, err := kv.New(redis.Backend(servertest.SharedRedis(t).Addr()), kv.WithNamespace(servertest.Namespace(t)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { shared.Close() })
			return []store.Option{storekv.Backend(shared)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			configtest.Run(t, func(t *testing.T) configtest.Harness {
				st := open(t, options(t)...)
				h, err := web.New(st, anybody)
				if err != nil {
					t.Fatal(err)
				}
				var down atomic.Bool
				var requests atomic.Int64
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					if down.Load() {
						w.WriteHeader(http.StatusServiceUnavailable)
						return
					}
					h.ServeHTTP(w, r)
				}))
				t.Cleanup(s.Close)
				t.Cleanup(func() { h.Close() })
				ctx := context.Background()
				return configtest.Harness{
					Source: func() config.Source { return url.LongPoll(s.URL+"/shop/orders?layers", 2*time.Second) },
					Set: func(doc string) {
						if _, err := st.Put(ctx, "shop/orders", []byte(doc)); err != nil {
							t.Error(err)
						}
					},
					Delete: func() {
						if _, err := st.Delete(ctx, "shop/orders"); err != nil {
							t.Error(err)
						}
					},
					Down: func() { down.Store(true); s.CloseClientConnections() }, Up: func() { down.Store(false) },
					Requests: func() int { return int(requests.Load()) }, IdleRequests: 2, Idle: 2 * time.Second,
					Within: 10 * time.Second, Lenient: true,
				}
			})
		})
	}
}

func TestReadsAndWrites(t *testing.T) {
	st := open(t, store.WithValidator(func(_ context.Context, _ string, next *config.Snapshot) error {
		if next.Get("port").Int(1) < 1 {
			return errors.New("port below 1")
		}
		return nil
	}))
	_, base := serve(t, st, anybody)
	long := strings.Repeat("n", 200)
	large := `{"a":"` + strings.Repeat("x", config.MaxSize-8) + `"}`
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
		etag, answer       string
	}{
		{"GET", "shop", "", nil, 404, "", "Not Found\n"},
		{"PUT", "shop", `{"port":1}`, []string{"If-None-Match", "*"}, 200, `"1"`, ""},
		{"PUT", "shop", `{"port":2}`, []string{"If-None-Match", "*"}, 412, "", ""},
		{"GET", "shop", "", nil, 200, `"1"`, `{"port":1}`},
		{"HEAD", "shop", "", nil, 200, `"1"`, ""},
		{"GET", "shop", "", []string{"If-None-Match", `"1"`}, 304, `"1"`, ""},
		{"GET", "shop", "", []string{"If-None-Match", `"0", W/"1"`}, 304, `"1"`, ""},
		{"GET", "shop", "", []string{"If-None-Match", `"2"`}, 200, `"1"`, `{"port":1}`},
		{"PATCH", "shop", `{"host":"h","port":2}`, []string{"If-Match", `"1"`}, 200, `"2"`, ""},
		{"PATCH", "shop", `{"port":3}`, []string{"If-Match", `"1"`}, 412, "", ""},
		{"PATCH", "shop", `{"port":0}`, nil, 422, "", ""},
		{"PATCH", "shop", `{"port":`, nil, 400, "", ""},
		{"PUT", "shop", `[1]`, nil, 400, "", ""},
		{"PUT", "shop", `{}`, []string{"If-Match", `1`}, 400, "", ""},
		{"PUT", "shop", `{}`, []string{"If-Match", `"1", "2"`}, 400, "", ""},
		{"PUT", "shop", `{}`, []string{"If-None-Match", `"2"`}, 400, "", ""},
		{"PUT", "shop", `{}`, []string{"If-None-Match", "*", "If-Match", `"2"`}, 400, "", ""},
		{"GET", "shop", "", nil, 200, `"2"`, `{"host":"h","port":2}`}, // what was refused changed nothing
		{"GET", "shop?version=1", "", nil, 200, `"1"`, `{"port":1}`},
		{"GET", "shop?version=3", "", nil, 404, "", ""},
		{"GET", "shop?version=0", "", nil, 400, "", ""},
		{"GET", "shop?version=x", "", nil, 400, "", ""},
		{"PUT", "shop/prod", `{"port":3}`, nil, 200, `"1"`, ""},
		{"GET", "shop/prod?layers", "", nil, 200, "", `{"host":"h","port":3}`},
		{"GET", "shop/test?layers", "", nil, 200, "", `{"host":"h","port":2}`},
		{"GET", "other?layers", "", nil, 404, "", ""},
		{"POST", "shop", `{}`, nil, 405, "", ""},
		{"PUT", "shop", `{}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, "", ""},
		{"GET", "", "", nil, 400, "", ""},
		{"GET", "shop/", "", nil, 400, "", ""},
		{"GET", "shop%2F..%2Fother", "", nil, 400, "", ""},
		{"PUT", long, `{}`, nil, 200, `"1"`, ""},
		{"PUT", long + "n", `{}`, nil, 400, "", ""},
		{"PUT", "large", large, nil, 200, `"1"`, ""},
		{"PUT", "large", large + " ", nil, 413, "", ""},
		{"DELETE", "shop/prod", "", []string{"If-Match", `"9"`}, 412, "", ""},
		{"DELETE", "shop/prod", "", nil, 200, `"2"`, ""},
		{"DELETE", "shop/prod", "", nil, 404, "", ""},
		{"GET", "shop/prod?version=2", "", nil, 404, "", ""},
		{"GET", "shop/prod?layers", "", nil, 200, "", `{"host":"h","port":2}`},
	} {
		what := fmt.Sprintf("%s %.40s %.40s %q", c.method, c.path, c.body, c.headers)
		resp, body := do(t, c.method, base+c.path, c.body, c.headers...)
		if resp.StatusCode != c.status || c.etag != "" && resp.Header.Get("ETag") != c.etag || c.answer != "" && body != c.answer {
			t.Errorf("%s: %d %s %.100q, want %d %s %q", what, resp.StatusCode, resp.Header.Get("ETag"), body, c.status, c.etag, c.answer)
		}
	}
	resp, body := do(t, "GET", base+"shop?history", "")
	var all []store.Version
	if err := json.Unmarshal([]byte(body), &all); err != nil || resp.StatusCode != 200 || len(all) != 2 || all[0].Number != 2 {
		t.Errorf("history: %d %s, %v", resp.StatusCode, body, err)
	}
}

// Who may is asked for every request, with the namespace that is then read or
// written; who wrote is in the history.
func TestPolicyDecides(t *testing.T) {
	local := auth.NewAuthority()
	au, err := auth.New(auth.Local(local), auth.WithService("ops"), auth.WithRules(
		auth.Rule{ID: "shop reads its own", Effect: auth.Allow, Subjects: []string{"shop"}, Actions: []string{"read"}, Resources: []string{"config/shop/**", "config/shop"}},
		auth.Rule{ID: "ann writes", Effect: auth.Allow, Subjects: []string{"ann"}, Actions: []string{"read", "write"}, Resources: []string{"config/**"}},
	))
	if err != nil {
		t.Fatal(err)
	}
	defer au.Close()
	st := open(t)
	_, base := serve(t, st, web.Authorize(au, "ops"))
	token := func(subject string) []string {
		raw, err := local.Issue(subject, "ops", nil)
		if err != nil {
			t.Fatal(err)
		}
		return []string{"Authorization", "Bearer " + string(raw.AccessToken)}
	}
	for _, c := range []struct {
		who, method, path string
		status            int
	}{
		{"", "PUT", "shop", 401}, {"shop", "PUT", "shop", 403}, {"ann", "PUT", "shop?comment=first", 200}, {"ann", "PUT", "bank", 200},
		{"", "GET", "shop", 401}, {"shop", "GET", "shop", 200}, {"shop", "GET", "shop?layers", 200}, {"shop", "GET", "shop?history", 200},
		{"shop", "GET", "bank", 403}, {"shop", "GET", "bank?layers", 403}, {"shop", "GET", "bank?history", 403}, {"shop", "GET", "bank?version=1", 403},
		{"shop", "GET", "shop/prod?layers", 200}, {"shop", "DELETE", "shop", 403}, {"shop", "PATCH", "shop", 403}, {"ann", "DELETE", "bank", 200},
	} {
		var headers []string
		if c.who != "" {
			headers = token(c.who)
		}
		if resp, body := do(t, c.method, base+c.path, `{}`, headers...); resp.StatusCode != c.status {
			t.Errorf("%s %s by %q: %d %s, want %d", c.method, c.path, c.who, resp.StatusCode, body, c.status)
		}
	}
	d, err := st.Get(t.Context(), "shop")
	if err != nil || d.Author != "ann" || d.Comment != "first" || d.Number != 1 {
		t.Errorf("the document is %+v, %v", d.Version, err)
	}
}

func TestAWaitEndsWithAChangeOrItsTime(t *testing.T) {
	st := open(t)
	_, base := serveWithin(t, time.Second, st, anybody)
	_, calm := serve(t, st, anybody) // where a request that does not wait has all the time
	ctx := t.Context()
	set := func(doc string) {
		t.Helper()
		if _, err := st.Put(ctx, "shop", []byte(doc)); err != nil {
			t.Fatal(err)
		}
	}
	set(`{"n":1}`)
	first, _ := do(t, "GET", calm+"shop/prod?layers", "")
	known := first.Header.Get("ETag")

	began := time.Now()
	resp, _ := do(t, "GET", base+"shop/prod?layers", "", "If-None-Match", known, "Prefer", "respond-async, wait=2")
	if took := time.Since(began); resp.StatusCode != 304 || took < 2*time.Second || resp.Header.Get("Preference-Applied") != "wait=2" {
		t.Errorf("without a change: %d after %v, %v", resp.StatusCode, took, resp.Header)
	}
	answers := make(chan string)
	for range 3 {
		go func() {
			resp, body := do(t, "GET", base+"shop/prod?layers", "", "If-None-Match", known, "Prefer", "wait=999")
			answers <- fmt.Sprint(resp.StatusCode, resp.Header.Get("Preference-Applied"), body)
		}()
	}
	select {
	case a := <-answers:
		t.Fatalf("before anything changed: %s", a)
	case <-time.After(300 * time.Millisecond):
	}
	set(`{"n":2}`)
	for range 3 {
		if a := <-answers; a != `200wait=60{"n":2}` {
			t.Errorf("got %s", a)
		}
	}
	for _, prefer := range []string{"wait=0", "wait=x", "wait=-1", "wait", "return=minimal"} { // answered at once
		resp, _ := do(t, "GET", calm+"shop/prod?layers", "", "If-None-Match", known, "Prefer", prefer)
		if resp.StatusCode != 200 || resp.Header.Get("Preference-Applied") != "" {
			t.Errorf("%s: %d, %v", prefer, resp.StatusCode, resp.Header)
		}
	}
	second, _ := do(t, "GET", calm+"shop?layers", "")
	go func() {
		resp, _ := do(t, "GET", base+"shop?layers", "", "If-None-Match", second.Header.Get("ETag"), "Prefer", "wait=30")
		answers <- fmt.Sprint(resp.StatusCode)
	}()
	<-time.After(100 * time.Millisecond)
	if _, err := st.Delete(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a != "404" {
		t.Errorf("a document that is deleted: %s", a)
	}
}

func TestOnlySoManyWait(t *testing.T) {
	st := open(t)
	h, base := serve(t, st, anybody, web.WithWaiters(2))
	if _, err := st.Put(t.Context(), "shop", []byte(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	first, _ := do(t, "GET", base+"shop?layers", "")
	wait := []string{"If-None-Match", first.Header.Get("ETag"), "Prefer", "wait=30"}
	ended := make(chan int)
	var closing atomic.Bool
	for range 2 {
		go func() {
			for {
				resp, _ := do(t, "GET", base+"shop?layers", "", wait...)
				if resp.StatusCode != 503 || closing.Load() { // else the one below came first
					ended <- resp.StatusCode
					return
				}
			}
		}()
	}
	configtest.Eventually(t, 30*time.Second, "the third is refused", func() bool {
		resp, _ := do(t, "GET", base+"shop?layers", "", "If-None-Match", first.Header.Get("ETag"), "Prefer", "wait=1")
		return resp.StatusCode == 503 && resp.Header.Get("Retry-After") != ""
	})
	if resp, _ := do(t, "GET", base+"shop?layers", ""); resp.StatusCode != 200 {
		t.Errorf("who does not wait: %d", resp.StatusCode)
	}
	closing.Store(true)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if code := <-ended; code != 503 {
			t.Errorf("at Close: %d, want 503", code)
		}
	}
	if resp, _ := do(t, "GET", base+"shop", ""); resp.StatusCode != 503 {
		t.Errorf("after Close: %d, want 503", resp.StatusCode)
	}
	if err := h.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// followed counts who follows the documents of a store.
type followed struct {
	store.Store
	began, now atomic.Int64
}

func (f *followed) Source(parts ...string) config.Source {
	return &followedSource{f.Store.Source(parts...), f}
}

type followedSource struct {
	config.Source
	by *followed
}

func (s *followedSource) Open(ctx context.Context) error {
	return s.Source.(config.Opener).Open(ctx)
}

func (s *followedSource) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	s.by.began.Add(1)
	s.by.now.Add(1)
	defer s.by.now.Add(-1)
	return s.Source.(config.Watcher).Watch(ctx, deliver)
}

// What somebody has waited for is followed for a while, but of many namespaces no
// more than requests may wait.
func TestOnlySoManyNamespacesAreFollowed(t *testing.T) {
	st := &followed{Store: open(t)}
	_, base := serve(t, st, anybody, web.WithWaiters(2))
	for i := range 6 {
		resp, _ := do(t, "GET", fmt.Sprintf("%sshop%d?layers", base, i), "", "If-None-Match", `"x"`, "Prefer", "wait=1")
		if resp.StatusCode != 404 {
			t.Fatalf("shop%d: %d, want 404", i, resp.StatusCode)
		}
		configtest.Eventually(t, 30*time.Second, "it is followed", func() bool { return st.began.Load() == int64(i+1) })
	}
	configtest.Eventually(t, 30*time.Second, "the newest two are followed still", func() bool { return st.now.Load() == 2 })
}

// events reads a stream: what each event says, without comments.
func events(t *testing.T, url, last string) (*http.Response, <-chan string) {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan string, 100)
	go func() {
		defer close(all)
		id := ""
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if v, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				all <- id + " " + v
			}
		}
	}()
	return resp, all
}

func TestEventsAreEachTheWhole(t *testing.T) {
	st := open(t)
	h, base := serveWithin(t, time.Second, st, anybody)
	_, calm := serve(t, st, anybody) // where a request that does not wait has all the time
	if resp, _ := do(t, "GET", calm+"shop?layers", "", "Accept", "text/event-stream"); resp.StatusCode != 404 {
		t.Errorf("events of nothing: %d", resp.StatusCode)
	}
	if _, err := st.Put(t.Context(), "shop", []byte("{\"text\":\"two\\nlines\",\n\"n\":1}")); err != nil {
		t.Fatal(err)
	}
	resp, all := events(t, base+"shop?layers", "")
	defer resp.Body.Close()
	first := <-all
	id, data, _ := strings.Cut(first, " ")
	if resp.Header.Get("Content-Type") != "text/event-stream" || data != `{"n":1,"text":"two\nlines"}` {
		t.Errorf("%v: %s", resp.Header, first)
	}
	again, none := events(t, base+"shop?layers", id) // it has that one
	defer again.Body.Close()
	for n := 2; n < 5; n++ {
		<-time.After(1200 * time.Millisecond / 4) // longer in all than the server's WriteTimeout
		if _, err := st.Set(t.Context(), "shop", "n", n); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"n":%d,"text":"two\nlines"}`, n)
		if got := <-all; !strings.HasSuffix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := <-none; !strings.HasSuffix(got, want) {
			t.Errorf("who came again got %s, want %s", got, want)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if got, more := <-all; more {
		t.Errorf("after Close: %s", got)
	}
}

func TestBadArguments(t *testing.T) {
	st := open(t)
	for name, f := range map[string]func() (*web.Handler, error){
		"no store":   func() (*web.Handler, error) { return web.New(nil, anybody) },
		"no policy":  func() (*web.Handler, error) { return web.New(st, nil) },
		"nil option": func() (*web.Handler, error) { return web.New(st, anybody, nil) },
		"no waiters": func() (*web.Handler, error) { return web.New(st, anybody, web.WithWaiters(0)) },
	} {
		if h, err := f(); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
}
