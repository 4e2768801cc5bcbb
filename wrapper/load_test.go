package wrapper_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// loadObserver sees what servers say about themselves.
type loadObserver struct {
	reported atomic.Int64
	last     atomic.Pointer[router.Load]
}

func (o *loadObserver) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (o *loadObserver) End(context.Context, *wrapper.Call)                         {}
func (o *loadObserver) BeginAttempt(ctx context.Context, _ *wrapper.Attempt) context.Context {
	return ctx
}

func (o *loadObserver) EndAttempt(_ context.Context, a *wrapper.Attempt) {
	if a.Load.Reported {
		o.reported.Add(1)
	}
	o.last.Store(&a.Load)
}

func TestLoadReportsReachTheClient(t *testing.T) {
	busy, release := make(chan struct{}), make(chan struct{})
	leave := sync.OnceFunc(func() { close(release) })
	sw := newWrapper(t, wrapper.WithLoadReport())
	srv := httptest.NewServer(sw.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			busy <- struct{}{}
			<-release
		}
	})))
	defer srv.Close()
	defer leave()
	ob := &loadObserver{}
	w := newWrapper(t, wrapper.WithRouter(instances(srv.Listener.Addr().String())), wrapper.WithObserver(ob))
	get(t, w.Client(), "http://greeter/")
	if l := ob.last.Load(); *l != (router.Load{InFlight: 1, Reported: true}) { // nothing has ended yet
		t.Errorf("the first answer tells %+v, want one call in flight and nothing of the processor yet", *l)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := srv.Client().Get(srv.URL + "/busy"); err == nil {
			resp.Body.Close()
		}
	}()
	<-busy
	// Later, the processor's share is known too.
	for end := time.Now().Add(30 * time.Second); ; {
		get(t, w.Client(), "http://greeter/")
		l := ob.last.Load()
		if l.InFlight != 2 {
			t.Fatalf("beside another call: %+v, want two in flight", *l)
		}
		if l.Utilisation > 0 && l.Utilisation < 2 && l.Latency > 0 && l.Latency < 30*time.Second {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after 30 s: %+v, want what the processor does", *l)
		}
	}
	leave()
	<-done
}

func TestLoadIsNotToldUnlessAsked(t *testing.T) {
	srv := httptest.NewServer(newWrapper(t).Handler(nil))
	defer srv.Close()
	resp, _ := get(t, srv.Client(), srv.URL)
	if v := resp.Header["X-Load"]; v != nil {
		t.Errorf("X-Load: %q", v)
	}
}

func TestParseLoad(t *testing.T) {
	for in, want := range map[string]router.Load{
		"inflight=12;util=0.63":     {InFlight: 12, Utilisation: 0.63, Reported: true},
		" util=1 ; inflight=0; x=y": {Utilisation: 1, Reported: true},
		"inflight=3":                {InFlight: 3, Reported: true},
		"inflight=3;latency=1.5":    {InFlight: 3, Latency: 1500 * time.Microsecond, Reported: true},
		"util=0.5":                  {}, // what is in flight would count as none
		"":                          {},
		"inflight=NaN;util=NaN":     {},
		"inflight=-1":               {},
		"inflight=1e300":            {},
		"inflight=Inf":              {},
		"inflight":                  {},
		"rubbish":                   {},
	} {
		if got := wrapper.ParseLoad(in); got != want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
}

func FuzzParseLoad(f *testing.F) {
	f.Add("inflight=12;util=0.63")
	f.Fuzz(func(t *testing.T, s string) {
		l := wrapper.ParseLoad(s)
		if !(l.InFlight >= 0 && l.InFlight <= 1e9 && l.Utilisation >= 0 && l.Utilisation <= 1e9) {
			t.Errorf("%q: %+v", s, l)
		}
	})
}

func TestKeyMakesTheChoiceSticky(t *testing.T) {
	type userKey struct{}
	rec := newRecorder()
	r := hashed(t, count(t, answer(200)).addr(), count(t, answer(200)).addr(), count(t, answer(200)).addr(), count(t, answer(200)).addr())
	w := newWrapper(t, wrapper.WithRouter(r), wrapper.WithObserver(rec), wrapper.WithKey(func(ctx context.Context) string {
		user, _ := ctx.Value(userKey{}).(string)
		return user
	}), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1})) // none goes elsewhere because its instance says nothing
	went := map[string]map[string]bool{}
	for range 20 {
		for _, user := range []string{"ada", "bob", "eve", "joe", "kim", "lea", "max", "pia"} {
			req, _ := http.NewRequestWithContext(context.WithValue(t.Context(), userKey{}, user), "GET", "http://greeter/", nil)
			resp, err := w.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if went[user] == nil {
				went[user] = map[string]bool{}
			}
			went[user][rec.last(t).Instance.ID] = true
		}
	}
	all := map[string]bool{}
	for user, ids := range went {
		if len(ids) != 1 {
			t.Errorf("%s went to %d instances", user, len(ids))
		}
		for id := range ids {
			all[id] = true
		}
	}
	if len(all) < 2 {
		t.Error("everybody went to the same instance")
	}
}

// hashed routes by keys.
func hashed(t *testing.T, addrs ...string) router.Router {
	t.Helper()
	d, err := discovery.New(static.Backend(static.Addresses("greeter", addrs...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	r, err := router.New(router.WithDiscovery(d), router.WithStrategy(router.Hash(0)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProbesAreAnsweredPastEverythingElse(t *testing.T) {
	none, err := limits.Concurrency(1)
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(auth.WithService("orders")) // nobody may do anything
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	rec := newRecorder()
	public := wrapper.WithPublic(func(c *wrapper.Call) bool { return c.Resource == "/busy" })
	h := newWrapper(t, wrapper.WithLoadReport(), wrapper.WithLimit(none), wrapper.WithAuth(a), public, wrapper.WithObserver(rec)).Handler(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-release }))
	srv := httptest.NewServer(h)
	defer srv.Close()
	leave := sync.OnceFunc(func() { close(release) })
	defer leave()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := srv.Client().Get(srv.URL + "/busy"); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	probe := wrapper.Probe(srv.Client(), "http")
	in := &discovery.Instance{ID: "a", Address: srv.Listener.Addr().String()}
	l, err := probe(t.Context(), in)
	if err != nil || l.InFlight != 1 || !l.Reported {
		t.Errorf("got %+v, %v; want the one call in flight", l, err)
	}
	if n := len(rec.ended); n != 0 {
		t.Errorf("%d calls were recorded, want none: a probe is no call", n)
	}
	leave()
	<-done
	for end := time.Now().Add(30 * time.Second); ; {
		if l, err = probe(t.Context(), in); err != nil || l.Latency > 0 && l.InFlight == 0 || time.Now().After(end) {
			break
		}
	}
	if err != nil || l.Latency <= 0 || l.InFlight != 0 {
		t.Errorf("afterwards %+v, %v; want how long it took", l, err)
	}
	mute := httptest.NewServer(newWrapper(t).Handler(nil))
	defer mute.Close()
	if l, err := probe(t.Context(), &discovery.Instance{ID: "b", Address: mute.Listener.Addr().String()}); err == nil || l.Reported {
		t.Errorf("a server that doesn't report: %+v, %v; want an error", l, err)
	}
	for what, address := range map[string]string{"can't be asked": "a b", "is not there": deadAddr(t)} {
		if l, err := probe(t.Context(), &discovery.Instance{ID: "c", Address: address}); err == nil || l != (router.Load{}) {
			t.Errorf("a server that %s: %+v, %v; want an error", what, l, err)
		}
	}
}

func TestRouterWithProbesFindsTheIdleInstance(t *testing.T) {
	release := make(chan struct{})
	busyWrapper := newWrapper(t, wrapper.WithLoadReport())
	entered := make(chan struct{})
	busy := httptest.NewServer(busyWrapper.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			entered <- struct{}{}
			<-release
		}
	})))
	defer busy.Close()
	leave := sync.OnceFunc(func() { close(release) })
	defer leave()
	idle := httptest.NewServer(newWrapper(t, wrapper.WithLoadReport()).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer idle.Close()
	var holding sync.WaitGroup
	for range 20 { // others keep it busy
		holding.Go(func() {
			if resp, err := busy.Client().Get(busy.URL + "/hold"); err == nil {
				resp.Body.Close()
			}
		})
		<-entered
	}
	probe := wrapper.Probe(idle.Client(), "http")
	var answered atomic.Int64
	r := realRouter(t, []string{busy.Listener.Addr().String(), idle.Listener.Addr().String()},
		router.WithStrategy(router.Prequal(func(ctx context.Context, in *discovery.Instance) (router.Load, error) {
			defer answered.Add(1)
			return probe(ctx, in)
		}, router.Probing{Timeout: 30 * time.Second, MaxAge: time.Minute})))
	w := newWrapper(t, wrapper.WithRouter(r))
	for n := range int64(200) {
		get(t, w.Client(), "http://greeter/")
		// Where probes come later than calls there is nothing to choose by.
		for end := time.Now().Add(5 * time.Second); answered.Load() < 2*n && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	b, i := outcomes(r, busy.Listener.Addr().String()), outcomes(r, idle.Listener.Addr().String())
	if b.Picks*4 > i.Picks {
		t.Errorf("the busy one got %d calls and the idle one %d, want a fifth at the most", b.Picks, i.Picks)
	}
	leave()
	holding.Wait()
}
