package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func TestAnswersHaveTheirKinds(t *testing.T) {
	t.Parallel()
	c, maps := open(t, "", nil)
	ctx := t.Context()
	made, err := Create(ctx, c, maps, named("a", map[string]string{"k": "1"}))
	if err != nil || made.UID == "" || made.ResourceVersion == "" {
		t.Fatal(made, err)
	}
	_, err = Create(ctx, c, maps, named("a", nil))
	is(t, "create again", err, fault.Exists)
	_, err = Create(ctx, c, maps, named("A_B", nil))
	is(t, "create a name that is none", err, fault.Invalid)
	_, err = Create(ctx, c, configMaps.In("no-such-namespace"), named("a", nil))
	is(t, "create in no namespace", err, fault.NotFound)
	_, err = Create(ctx, c, maps, named("large", map[string]string{"k": strings.Repeat("x", 2<<20)}))
	if err == nil || fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.TooLarge {
		t.Errorf("create what is too large: %v", err)
	}
	_, err = Get[configMap](ctx, c, maps, "none")
	is(t, "get none", err, fault.NotFound)
	_, err = Get[configMap](ctx, c, maps, "../secrets/x")
	is(t, "get a path", err, fault.Invalid)

	changed := *made
	changed.Data = map[string]string{"k": "2"}
	changedNow, err := Update(ctx, c, maps, &changed)
	if err != nil || changedNow.Data["k"] != "2" {
		t.Fatal(changedNow, err)
	}
	_, err = Update(ctx, c, maps, made)
	is(t, "update of an old version", err, fault.Conflict)
	patched, err := MergePatch[configMap](ctx, c, maps, "a", map[string]any{"data": map[string]any{"l": "3"}})
	if err != nil || patched.Data["k"] != "2" || patched.Data["l"] != "3" {
		t.Errorf("patch: %+v, %v", patched, err)
	}
	is(t, "delete an old version", c.Delete(ctx, maps, "a", Preconditions{ResourceVersion: made.ResourceVersion}), fault.Conflict)
	if got, err := Get[configMap](ctx, c, maps, "a"); err != nil || got.ResourceVersion != patched.ResourceVersion {
		t.Errorf("after refusals: %+v, %v", got, err)
	}
	if err := c.Delete(ctx, maps, "a", Preconditions{UID: made.UID, ResourceVersion: patched.ResourceVersion}); err != nil {
		t.Error(err)
	}
	is(t, "delete none", c.Delete(ctx, maps, "a", Preconditions{}), fault.NotFound)

	k := servertest.SharedKubernetes(t)
	poor, err := Open(Config{Address: "kubeconfig:" + k.Kubeconfig(t, k.Addr(), k.Token(t, c.Namespace(), "poor"), "default")})
	if err != nil {
		t.Fatal(err)
	}
	defer poor.Close()
	_, err = Get[configMap](ctx, poor, maps, "a")
	is(t, "without the right", err, fault.Denied)
	if poor.Ping(ctx) != nil {
		t.Error("Ping needs no right")
	}

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = Create(ended, c, maps, named("b", nil))
	is(t, "an ended context", err, context.Canceled)
	c.Close()
	_, err = Get[configMap](ctx, c, maps, "a")
	is(t, "after Close", err, fault.Unavailable)
}

// A write whose answer is lost may have been applied, and is not sent again; one
// that was never sent has not been.
func TestALostAnswerIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedKubernetes(t).Addr())
	c, maps := open(t, p.Addr(), nil)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.CutReplies(1)
	_, err := Create(t.Context(), c, maps, named("a", nil))
	is(t, "a lost answer", err, fault.UnknownOutcome)
	if _, err := Get[configMap](t.Context(), c, maps, "a"); err != nil {
		t.Errorf("it was applied: %v", err)
	}
	p.CutReplies(1)
	_, err = Get[configMap](t.Context(), c, maps, "a")
	if err != nil { // the transport may ask again by itself
		is(t, "a lost answer to a read", err, fault.Unavailable)
	}
	if err := c.Ping(t.Context()); err != nil { // there is a connection
		t.Fatal(err)
	}
	p.Hold(netfault.Both)
	for within := 100 * time.Millisecond; within < time.Minute; within *= 4 { // long enough to send it
		ctx, cancel := context.WithTimeout(t.Context(), within)
		_, err = Create(ctx, c, maps, named("b", nil))
		cancel()
		if errors.Is(err, fault.UnknownOutcome) {
			break
		}
	}
	is(t, "no answer within the caller's time", err, fault.UnknownOutcome)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	_, err = Get[configMap](ctx, c, maps, "b")
	cancel()
	is(t, "nor to a read", err, context.DeadlineExceeded)
	p.Heal()
	p.Refuse()
	p.Reset()
	_, err = Create(t.Context(), c, maps, named("c", nil))
	for err != nil && errors.Is(err, fault.UnknownOutcome) { // the old connection has not noticed yet
		_, err = Create(t.Context(), c, maps, named("c", nil))
	}
	is(t, "nobody there", err, fault.Unavailable)
	p.Heal()
	_, err = Get[configMap](t.Context(), c, maps, "c")
	is(t, "what was not sent", err, fault.NotFound)
}

func TestNoAnswerWithinTheTimeout(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedKubernetes(t).Addr())
	c, maps := open(t, p.Addr(), func(c *Config) { c.Timeout = 200 * time.Millisecond })
	p.Hold(netfault.Both)
	_, err := Get[configMap](t.Context(), c, maps, "b")
	is(t, "a read", err, fault.Unavailable)
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	c, maps := open(t, "", nil)
	c.page = 4
	var want []string
	for i := range 11 {
		o := named(fmt.Sprintf("c-%02d", i), nil)
		o.Labels = map[string]string{"odd": fmt.Sprint(i%2 == 1)}
		_, err := Create(t.Context(), c, maps, o)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, o.Name)
	}
	gone := 0
	w := between(c, nil)
	list := func(s Selector) []string {
		t.Helper()
		w.calls.Store(0)
		all, version, err := List[configMap](t.Context(), c, maps, s)
		if err != nil || version == "" {
			t.Fatal(version, err)
		}
		var names []string
		for _, o := range all {
			names = append(names, o.Name)
		}
		slices.Sort(names)
		return names
	}
	if got := list(Selector{}); !slices.Equal(got, want) || w.calls.Load() != 3 {
		t.Errorf("%v in %d pages, want 3", got, w.calls.Load())
	}
	if got := list(Selector{Labels: "odd=true"}); len(got) != 5 {
		t.Errorf("selected %v", got)
	}
	if got := list(Named("c-03")); !slices.Equal(got, []string{"c-03"}) {
		t.Errorf("named %v", got)
	}
	// A page that comes too late makes the list begin again.
	w.before = func(r *http.Request) *http.Response {
		if r.URL.Query().Get("continue") == "" || gone > 0 {
			return nil
		}
		gone++
		return answer(http.StatusGone, `{"kind":"Status","reason":"Expired","message":"too old","code":410}`, nil)
	}
	if got := list(Selector{}); !slices.Equal(got, want) || gone != 1 {
		t.Errorf("after 410: %v", got)
	}
	w.before = func(r *http.Request) *http.Response {
		if r.URL.Query().Get("continue") == "" {
			return nil
		}
		return answer(http.StatusGone, `{"kind":"Status","reason":"Expired","message":"too old","code":410}`, nil)
	}
	if _, _, err := List[configMap](t.Context(), c, maps, Selector{}); err != nil {
		t.Errorf("pages that are always too late: %v, want one large page", err)
	}
}

// answer is one that the real server can't be made to give.
func answer(code int, body string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(strings.NewReader(body)), ProtoMajor: 1, ProtoMinor: 1}
}

func TestWhatIsPutOffIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		code    int
		after   string
		write   bool
		refuses int64
		want    error
		calls   int64
	}{
		{"429", 429, "1", false, 1, nil, 2},
		{"429 of a write", 429, "1", true, 1, nil, 2},
		{"503", 503, "1", false, 1, nil, 2},
		{"503 of a write", 503, "1", true, 1, fault.UnknownOutcome, 1},
		{"429 without a time", 429, "", false, 1, fault.Unavailable, 1},
		{"500", 500, "1", false, 1, fault.Unavailable, 1},
		{"500 of a write", 500, "1", true, 1, fault.UnknownOutcome, 1},
		{"longer than the caller waits", 429, "60", false, 1, fault.Unavailable, 1},
		{"a time that is none", 429, "-1", false, 1, fault.Unavailable, 1},
		{"a time beyond all bounds", 429, "9999999999", false, 1, fault.Unavailable, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, maps := open(t, "", nil)
			var w *transported
			w = between(c, func(*http.Request) *http.Response {
				if w.calls.Load() > test.refuses {
					return nil
				}
				return answer(test.code, `{"message":"busy"}`, http.Header{"Retry-After": {test.after}})
			})
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			var err error
			if test.write {
				_, err = Create(ctx, c, maps, named("a", nil))
			} else {
				_, _, err = List[configMap](ctx, c, maps, Selector{})
			}
			if test.want == nil && err != nil || test.want != nil && !errors.Is(err, test.want) || w.calls.Load() != test.calls {
				t.Errorf("%v after %d calls, want %v after %d", err, w.calls.Load(), test.want, test.calls)
			}
		})
	}
}

func TestALongAnswerIsNotRead(t *testing.T) {
	t.Parallel()
	c, maps := open(t, "", nil)
	between(c, func(r *http.Request) *http.Response {
		resp := answer(200, "", nil)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"items":["`), endless{}))
		return resp
	})
	_, err := Get[configMap](t.Context(), c, maps, "a")
	is(t, "an endless object", err, fault.TooLarge)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// What a process asks is bounded: who would wait longer than it may is refused
// without a request.
func TestRequestsAreLimited(t *testing.T) {
	t.Parallel()
	c, maps := open(t, "", func(c *Config) { c.Rate, c.Burst = 5, 3 })
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 8 {
		_, _, err := List[configMap](ctx, c, maps, Selector{})
		if err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(began); d < 900*time.Millisecond { // five of eight had to wait .2 s
		t.Errorf("eight requests in %v", d)
	}
	c, maps = open(t, "", func(c *Config) { c.Rate, c.Burst = .001, 1 })
	w := between(c, nil)
	_, err := Create(ctx, c, maps, named("a", nil))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Create(ctx, c, maps, named("b", nil))
	is(t, "no turn in time", err, fault.Unavailable)
	if n := w.calls.Load(); n != 1 {
		t.Errorf("%d requests, want the first alone", n)
	}
}

func TestWhatIsNoAPIServer(t *testing.T) {
	t.Parallel()
	c, _ := open(t, "", nil)
	between(c, func(*http.Request) *http.Response { return answer(200, "<html>hello</html>", nil) })
	is(t, "a page", c.Ping(t.Context()), fault.Unavailable)
	between(c, func(*http.Request) *http.Response { return answer(200, "{}", nil) })
	is(t, "an object", c.Ping(t.Context()), fault.Unavailable)
	between(c, func(*http.Request) *http.Response {
		return answer(302, "", http.Header{"Location": {"http://example.com"}})
	})
	if err := c.Ping(t.Context()); err == nil {
		t.Error("a redirect")
	}
}
