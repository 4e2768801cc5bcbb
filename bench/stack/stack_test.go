package stack

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// discarded is a writer of answers that keeps nothing.
type discarded struct{ h http.Header }

func (d *discarded) Header() http.Header         { return d.h }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(int)             {}
func (d *discarded) Flush()                      {}

func BenchmarkServer(b *testing.B) {
	run := func(b *testing.B, h http.Handler) {
		r := httptest.NewRequest("GET", "/hello/ada", nil)
		rw := &discarded{http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			clear(rw.h)
			h.ServeHTTP(rw, r)
		}
	}
	mux := greeter()
	b.Run("bare", func(b *testing.B) { run(b, mux) })
	b.Run("ours", func(b *testing.B) { run(b, ourHandler(mux)) })
	b.Run("usual", func(b *testing.B) { run(b, usualHandler()) })
}

// stub answers at once.
type stub struct{}

func (stub) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
}

func BenchmarkClient(b *testing.B) {
	run := func(b *testing.B, rt http.RoundTripper) {
		b.ReportAllocs()
		for b.Loop() {
			r, _ := http.NewRequest("GET", "http://greeter/hello", nil)
			resp, err := rt.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	b.Run("bare", func(b *testing.B) { run(b, stub{}) })
	b.Run("ours", func(b *testing.B) { run(b, ourTransport(stub{}, "a:80", "b:80", "c:80")) })
	b.Run("usual", func(b *testing.B) { run(b, usualTransport(stub{})) })
}
