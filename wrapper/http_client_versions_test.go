package wrapper_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/wrapper"
)

// spoken runs a test over both versions of HTTP, without TLS.
func spoken(t *testing.T, f func(t *testing.T, major int, p *http.Protocols)) {
	for _, major := range []int{1, 2} {
		t.Run([]string{"", "HTTP/1.1", "HTTP/2"}[major], func(t *testing.T) {
			p := new(http.Protocols)
			p.SetHTTP1(major == 1)
			p.SetUnencryptedHTTP2(major == 2)
			f(t, major, p)
		})
	}
}

// countOver is count over a version of HTTP.
func countOver(t *testing.T, p *http.Protocols, h http.HandlerFunc) *counted {
	t.Helper()
	c := &counted{}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.hits.Add(1)
		h(w, r)
	}))
	c.Config.Protocols, c.Config.ErrorLog = p, quiet()
	c.Start()
	t.Cleanup(c.Close)
	return c
}

// The cells of the client's matrix that HTTP/2 has, each over both versions:
// the request isn't changed, its body is closed once, a POST is sent once, an
// upload isn't read ahead, what failed attempts were answered is closed, idle
// connections can be closed, trailers arrive.
func TestClientOverBothVersions(t *testing.T) {
	spoken(t, func(t *testing.T, major int, p *http.Protocols) {
		var open atomic.Int64
		transport := &http.Transport{Protocols: p}
		defer transport.CloseIdleConnections()
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := transport.RoundTrip(r)
			if err == nil {
				if resp.ProtoMajor != major {
					t.Errorf("spoke HTTP/%d, want %d", resp.ProtoMajor, major)
				}
				open.Add(1)
				resp.Body = &onClose{resp.Body, func() { open.Add(-1) }}
			}
			return resp, err
		})
		client := func(addrs ...string) *http.Client {
			w := newWrapper(t, wrapper.WithRouter(instances(addrs...)), wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 1000}))
			return &http.Client{Transport: w.Transport(base)}
		}
		bad := countOver(t, p, answer(503))
		good := countOver(t, p, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			io.Copy(w, r.Body)
			w.Header().Set("X-Sum", "42")
		})
		send := func(c *http.Client, method string) (status int, body, sum string) {
			t.Helper()
			sent := &closer{Reader: strings.NewReader("hello")}
			r, _ := http.NewRequest(method, "http://greeter/", sent)
			r.Header.Set("X-Own", "1")
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			if len(r.Header) != 1 || r.Body != sent || r.URL.Host != "greeter" {
				t.Errorf("%s: the request was changed: %+v", method, r)
			}
			poll(t, "the body to be closed", func() bool { return sent.closed.Load() == 1 })
			return resp.StatusCode, string(b), resp.Trailer.Get("X-Sum")
		}
		if status, body, sum := send(client(bad.addr(), good.addr()), "PUT"); status != 200 || body != "hello" || sum != "42" || bad.hits.Load() != 1 {
			t.Errorf("PUT: %d %q, trailer %q, after %d at the first", status, body, sum, bad.hits.Load())
		}
		if status, _, _ := send(client(bad.addr(), good.addr()), "POST"); status != 503 || good.hits.Load() != 1 || bad.hits.Load() != 2 {
			t.Errorf("POST: %d, sent %d times to the second", status, good.hits.Load()-1)
		}
		if n := open.Load(); n != 0 {
			t.Errorf("%d answers were left open", n)
		}

		got := make(chan string)
		slow := countOver(t, p, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			for buf := make([]byte, 5); ; {
				if _, err := io.ReadFull(r.Body, buf); err != nil {
					return
				}
				got <- string(buf)
			}
		})
		in, out := io.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			if resp, err := client(slow.addr()).Post("http://greeter/", "text/plain", in); err != nil {
				t.Error(err)
			} else {
				resp.Body.Close()
			}
		})
		for _, part := range []string{"first", "again"} { // the first arrives before the second is written
			io.WriteString(out, part)
			if s := <-got; s != part {
				t.Errorf("upload: got %q, want %q", s, part)
			}
		}
		out.Close()
		wg.Wait()
	})
}

func TestManyCallsOnOneContextOverBothVersions(t *testing.T) {
	spoken(t, func(t *testing.T, _ int, p *http.Protocols) {
		transport := &http.Transport{Protocols: p, MaxIdleConnsPerHost: 50}
		defer transport.CloseIdleConnections()
		a := countOver(t, p, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
		b := countOver(t, p, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
		sw := newWrapper(t, wrapper.WithRouter(instances(a.addr(), b.addr())))
		client := &http.Client{Transport: sw.Transport(transport)}
		ctx := wrapper.ContextWithLabels(t.Context(), map[string]string{"a": "b"})
		start := make(chan struct{})
		var wg sync.WaitGroup
		var failed atomic.Int64
		for range 1000 {
			wg.Go(func() {
				<-start
				r, _ := http.NewRequestWithContext(ctx, "PUT", "http://greeter/", bytes.NewReader([]byte("hello")))
				resp, err := client.Do(r)
				if err != nil {
					failed.Add(1)
					return
				}
				defer resp.Body.Close()
				if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hello" {
					failed.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		if n := failed.Load(); n != 0 || a.hits.Load()+b.hits.Load() < 1000 {
			t.Errorf("%d of 1000 failed; %d and %d arrived", n, a.hits.Load(), b.hits.Load())
		}
	})
}
