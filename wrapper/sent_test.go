package wrapper_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// broken is a body that fails after some bytes.
type broken struct {
	io.Reader
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

// What an error is called says nothing of what was sent: a body that reads from
// a store which is down, or a transport of the user's, may fail with the very
// kinds that the router has for "not sent".
func TestKindsOfErrorsDoNotDecideWhatWasSent(t *testing.T) {
	for name, err := range map[string]error{
		"unavailable": kv.ErrUnavailable, "limited": &limits.Error{}, "no instances": router.ErrNoInstances, "closed": kv.ErrClosed,
		"refused": errors.New("REFUSED_STREAM"),
	} {
		for _, getBody := range []bool{false, true} {
			t.Run(fmt.Sprint("body ", name, getBody), func(t *testing.T) {
				var bytes atomic.Int64
				srv := count(t, func(w http.ResponseWriter, r *http.Request) {
					n, _ := io.Copy(io.Discard, r.Body)
					bytes.Add(n)
				})
				r := realRouter(t, []string{srv.addr()})
				w := newWrapper(t, wrapper.WithRouter(r))
				body := func() (io.ReadCloser, error) {
					return io.NopCloser(&broken{strings.NewReader(strings.Repeat("x", 100_000)), err}), nil
				}
				b, _ := body()
				q, _ := http.NewRequest("POST", "http://greeter/", b)
				if getBody {
					q.GetBody = body
				}
				if resp, got := w.Client().Do(q); !errors.Is(got, err) {
					t.Errorf("got %v, %v", resp, got)
				}
				poll(t, "the server to be done", func() bool { return outcomes(r, srv.addr()).InFlight == 0 })
				if n := srv.hits.Load(); n > 1 {
					t.Errorf("a POST was sent %d times", n)
				}
				if n := outcomes(r, srv.addr()); n.Outcomes[router.Cancelled] != 1 {
					t.Errorf("the instance is blamed for the caller's body: %v", n.Outcomes)
				}
			})
		}
		t.Run("transport "+name, func(t *testing.T) {
			var sent atomic.Int64
			base := roundTripper(func(*http.Request) (*http.Response, error) { sent.Add(1); return nil, fmt.Errorf("lost: %w", err) })
			w := newWrapper(t, wrapper.WithRouter(instances("a:1", "b:1")))
			c := &http.Client{Transport: w.Transport(base)}
			if _, got := c.Post("http://greeter/", "text/plain", nil); !errors.Is(got, err) {
				t.Errorf("got %v", got)
			}
			if n := sent.Load(); n != 1 {
				t.Errorf("a POST was sent %d times", n)
			}
			if _, got := c.Get("http://greeter/"); !errors.Is(got, err) { // the twin that may be sent again
				t.Errorf("got %v", got)
			}
			if n := sent.Load(); n != 4 {
				t.Errorf("a GET was sent %d times, want 3", n-1)
			}
		})
	}
}

// handshakes is a server whose TLS handshake fails.
func handshakes(t *testing.T) (addr string, tried *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	tried = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tried.Add(1)
			go func() {
				buf := make([]byte, 512)
				c.Read(buf)
				c.Write([]byte("\x15\x03\x03\x00\x02\x02\x28")) // alert: handshake failure
				c.Close()
			}()
		}
	}()
	return l.Addr().String(), tried
}

func TestFailedHandshakeWasNotSent(t *testing.T) {
	addr, tried := handshakes(t)

	srv, client := serve(t, answer(200), true)
	r := realRouter(t, []string{addr, srv.Listener.Addr().String()})
	w := newWrapper(t, wrapper.WithRouter(r), wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 1000}))
	base := client.Transport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	base.TLSClientConfig = &tls.Config{RootCAs: base.TLSClientConfig.RootCAs, ServerName: "example.com"}
	c := &http.Client{Transport: w.Transport(base)}
	for range 20 {
		resp, err := c.Post("https://greeter/", "text/plain", io.MultiReader(strings.NewReader("x")))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if tried.Load() == 0 {
		t.Error("the bad one was not tried")
	}
	if n := outcomes(r, addr); n.Outcomes[router.Unsent] == 0 || n.Outcomes[router.Connect] != 0 {
		t.Errorf("recorded %v, want unsent", n.Outcomes)
	}
}

func TestStatusIsRetriedWhereAskedFor(t *testing.T) {
	for _, c := range []struct {
		statuses []int
		method   string
		hits     int64
	}{{[]int{500}, "GET", 3}, {[]int{500}, "POST", 1}, {[]int{501}, "GET", 1}, {nil, "GET", 1}} {
		bad := count(t, answer(500))
		w := newWrapper(t, wrapper.WithRouter(instances(bad.addr())), wrapper.WithRetry(wrapper.RetryPolicy{Statuses: c.statuses}))
		q, _ := http.NewRequest(c.method, "http://greeter/", nil)
		resp, err := w.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := bad.hits.Load(); n != c.hits {
			t.Errorf("%v %s: sent %d times, want %d", c.statuses, c.method, n, c.hits)
		}
	}
	for _, bad := range []int{499, 600, -1} {
		if _, err := wrapper.New(wrapper.WithName("x"), wrapper.WithRetry(wrapper.RetryPolicy{Statuses: []int{bad}})); !errors.Is(err, wrapper.ErrInvalid) {
			t.Errorf("status %d: %v", bad, err)
		}
	}
}

// hole accepts connections and says nothing.
func hole(t *testing.T) *counted {
	t.Helper()
	return count(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// An instance that says nothing must not keep an idempotent call for as long as
// its deadline allows, and it is the one to blame.
func TestSilentInstanceIsPassedOver(t *testing.T) {
	const stuck, good = "10.0.0.1:80", "10.0.0.2:80"
	for name, method := range map[string]string{"idempotent": "GET", "not": "POST"} {
		synctest.Test(t, func(t *testing.T) {
			silent := false
			r := realRouter(t, []string{stuck, good})
			w := newWrapper(t, wrapper.WithRouter(r), wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 1000}))
			client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				if silent && r.URL.Host == stuck {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				time.Sleep(time.Millisecond)
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}))}
			for range 30 {
				get(t, client, "http://greeter/")
			}
			silent = true
			failed := 0
			for range 4 {
				ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
				q, _ := http.NewRequestWithContext(ctx, method, "http://greeter/", nil)
				if resp, err := client.Do(q); err != nil {
					failed++
				} else {
					resp.Body.Close()
				}
				cancel()
			}
			synctest.Wait()
			if method == "GET" && failed > 0 || method == "POST" && failed == 0 {
				t.Errorf("%s: %d of 4 failed", name, failed)
			}
			if n := outcomes(r, stuck); n.Outcomes[router.Timeout] == 0 || n.InFlight != 0 {
				t.Errorf("%s: the silent one is not blamed: %v, %d open", name, n.Outcomes, n.InFlight)
			}
			if n := outcomes(r, good); n.Outcomes[router.Timeout]+n.Outcomes[router.Cancelled] != 0 {
				t.Errorf("%s: the good one is blamed: %v", name, n.Outcomes)
			}
		})
	}
}
