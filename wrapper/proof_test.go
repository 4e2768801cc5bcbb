package wrapper_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// proved is a service whose callers show tokens with proofs, and a client of it.
type proved struct {
	client *http.Client
	seen   func() []string // proofs, in the order of the requests
	ran    *atomic.Int64
	status *atomic.Int64 // of the handler's next answer; 0: 200
	pause  *atomic.Int64 // of the handler, before its next answer, ns
}

func newProved(t *testing.T, serverOpts []auth.Option, clientOpts ...wrapper.Option) *proved {
	t.Helper()
	authority := authtest.NewBound(t)
	greeter := newWrapper(t, wrapper.WithAuth(authority.Auth(t, "greeter", append(serverOpts, auth.WithRules(auth.AllowAuthenticated()))...)))
	p := &proved{ran: &atomic.Int64{}, status: &atomic.Int64{}, pause: &atomic.Int64{}}
	var mu sync.Mutex
	var proofs []string
	p.seen = func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), proofs...) }
	inner := greeter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.ran.Add(1)
		select {
		case <-time.After(time.Duration(p.pause.Swap(0))):
		case <-r.Context().Done():
		}
		if status := p.status.Swap(0); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		caller, _ := auth.FromContext(r.Context())
		io.WriteString(w, caller.Subject+" ")
		io.Copy(w, r.Body)
	}))
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		proofs = append(proofs, r.Header.Get("DPoP"))
		mu.Unlock()
		inner.ServeHTTP(w, r)
	})
	var addrs []string
	for range 2 {
		srv := httptest.NewServer(outer)
		t.Cleanup(srv.Close)
		addrs = append(addrs, strings.TrimPrefix(srv.URL, "http://"))
	}
	r := realRouter(t, addrs)
	p.client = newWrapper(t, append([]wrapper.Option{wrapper.WithAuth(authority.Auth(t, "shop")), wrapper.WithRouter(r)}, clientOpts...)...).Client()
	t.Cleanup(p.client.CloseIdleConnections)
	return p
}

// different reports whether no proof occurs twice, and none is missing.
func different(proofs []string) bool {
	known := map[string]bool{"": true}
	for _, p := range proofs {
		if known[p] {
			return false
		}
		known[p] = true
	}
	return true
}

// A bound token is sent with a new proof each time, also when a nonce is wanted.
func TestAProofForEachAttempt(t *testing.T) {
	nonces := []auth.Option{auth.WithNonces(nil)}
	for name, c := range map[string]struct {
		opts         []auth.Option
		status       int64 // of the first answer
		body         io.Reader
		kind         string // Content-Type
		code         int
		answer       string
		requests     int // that the service gets
		ran, attempt int64
	}{
		"a call":                           {nil, 0, nil, "", 200, "shop ", 1, 1, 1},
		"with a body":                      {nil, 0, strings.NewReader("b"), "", 200, "shop b", 1, 1, 1},
		"sent again after a 503":           {nil, 503, nil, "", 200, "shop ", 2, 2, 2},
		"a nonce is wanted":                {nonces, 0, nil, "", 200, "shop ", 2, 1, 1},
		"a nonce, and a body from memory":  {nonces, 0, strings.NewReader("b"), "", 200, "shop b", 2, 1, 1},
		"a nonce, and a body from a pipe":  {nonces, 0, io.LimitReader(strings.NewReader("bbb"), 1), "", 200, "shop b", 2, 1, 1},
		"a nonce, and a long one":          {nonces, 0, io.LimitReader(strings.NewReader(strings.Repeat("b", 1<<20)), 1<<20), "", 401, "Unauthorized\n", 1, 0, 1},
		"a nonce, and again after the 503": {nonces, 503, nil, "", 200, "shop ", 3, 2, 2},
		"a nonce, over gRPC":               {nonces, 0, strings.NewReader("b"), "application/grpc", 200, "shop b", 2, 1, 1},
		"a nonce, in a stream of Connect":  {nonces, 0, strings.NewReader("b"), "application/connect+json", 200, "shop b", 2, 1, 1},
	} {
		rec := newRecorder()
		p := newProved(t, c.opts, wrapper.WithObserver(rec))
		p.status.Store(c.status)
		r, err := http.NewRequest(http.MethodPut, "http://greeter/caf%C3%A9?x=1", c.body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.kind)
		resp, err := p.client.Do(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		call := rec.last(t)
		proofs := p.seen()
		if resp.StatusCode != c.code || string(body) != c.answer || len(proofs) != c.requests || !different(proofs) || p.ran.Load() != c.ran || int64(call.Attempts) != c.attempt {
			t.Errorf("%s: %d %q, %d requests with different proofs %t, %d ran, %d attempts; want %d %q, %d, true, %d, %d", name,
				resp.StatusCode, body, len(proofs), different(proofs), p.ran.Load(), call.Attempts, c.code, c.answer, c.requests, c.ran, c.attempt)
		}
		if len(c.opts) == 0 {
			continue
		}
		// The nonce is known from here on, whichever way the first call went.
		before := len(p.seen())
		resp, err = p.client.Get("http://greeter/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := len(p.seen()) - before; resp.StatusCode != 200 || n != 1 {
			t.Errorf("%s: the next call: %d after %d requests, want 200 after one", name, resp.StatusCode, n)
		}
	}
}

// A bound token is not sent by who can't prove to have its key.
func TestABoundTokenWithoutItsKeyIsNotSent(t *testing.T) {
	srv := count(t, answer(200))
	rec := newRecorder()
	bound := keyless{authtest.NewBound(t).Auth(t, "shop")}
	c := newWrapper(t, wrapper.WithAuth(bound), wrapper.WithRouter(instances(srv.addr())), wrapper.WithObserver(rec)).Client()
	_, err := send(t, c, "GET", "http://greeter/")
	call := rec.last(t)
	if !errors.Is(err, auth.ErrUnsupported) || srv.hits.Load() != 0 || call.Class != router.ClientError || call.Attempts != 1 {
		t.Errorf("got %v after %d requests, recorded %v with %d attempts; want ErrUnsupported, none, client_error, 1", err, srv.hits.Load(), call.Class, call.Attempts)
	}
}

// keyless is an Auth whose tokens are bound to a key that it does not say.
type keyless struct{ auth.Auth }

func TestAHedgeHasAProofOfItsOwn(t *testing.T) {
	p := newProved(t, nil, wrapper.WithHedge(wrapper.HedgePolicy{Quantile: 0.5, Ratio: 1}))
	for i := range 30 {
		if i == 29 {
			p.pause.Store(int64(time.Minute))
		}
		resp, err := p.client.Get("http://greeter/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("call %d: %d", i, resp.StatusCode)
		}
	}
	if proofs := p.seen(); len(proofs) < 31 || !different(proofs) {
		t.Errorf("%d requests for 30 calls, with different proofs %t", len(proofs), different(proofs))
	}
}

// A token that is bound to its owner's key is of no use to who passes it on.
func TestABoundTokenIsNotPassedOn(t *testing.T) {
	authority := authtest.NewBound(t)
	var failed error
	var client *http.Client
	front := newWrapper(t, wrapper.WithAuth(authority.Auth(t, "greeter", auth.WithRules(auth.AllowAuthenticated()))), wrapper.WithTokens(func(string) wrapper.TokenMode { return wrapper.PassOn }))
	srv := httptest.NewServer(front.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		further, err := http.NewRequestWithContext(r.Context(), "GET", "http://billing/", nil)
		if err != nil {
			failed = err
			return
		}
		resp, err := client.Do(further)
		if err == nil {
			resp.Body.Close()
		}
		failed = err
	})))
	defer srv.Close()
	client = newWrapper(t, wrapper.WithAuth(authority.Auth(t, "x")), wrapper.WithRouter(realRouter(t, []string{"127.0.0.1:1"})), wrapper.WithTokens(func(string) wrapper.TokenMode { return wrapper.PassOn }),
		wrapper.WithServices(func(r *http.Request) (string, bool) { return "greeter", true })).Client()
	caller := newWrapper(t, wrapper.WithAuth(authority.Auth(t, "shop")), wrapper.WithRouter(realRouter(t, []string{strings.TrimPrefix(srv.URL, "http://")}))).Client()
	defer caller.CloseIdleConnections()
	resp, err := caller.Get("http://greeter/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || !errors.Is(failed, auth.ErrUnsupported) {
		t.Errorf("passing on: %d, %v, want 200 and ErrUnsupported", resp.StatusCode, failed)
	}
}
