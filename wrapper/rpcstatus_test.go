package wrapper_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// frame is one of a stream of gRPC-Web or Connect.
func frame(flags byte, payload string) string {
	return string(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(payload)))) + payload
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

// Answers that are 200 for HTTP, and say in their own way how it went. connect-go's
// own are in interop/connect.
func TestStatusInHeadersTrailersAndBodies(t *testing.T) {
	const message = "\x00\x00\x00\x00\x03abc"
	for name, c := range map[string]struct {
		kind            string
		header, trailer string
		body            string
		want            router.Class
	}{
		"trailer ok":             {"application/grpc", "", "0", message, router.OK},
		"trailer unavailable":    {"application/grpc+proto", "", "14", message, router.Overload},
		"trailer not found":      {"application/grpc", "", "5", "", router.ClientError},
		"trailer cancelled":      {"application/grpc", "", "1", "", router.Cancelled},
		"trailer unknown number": {"application/grpc", "", "17", "", router.ServerError},
		"trailer last number":    {"application/grpc", "", "16", "", router.ClientError},
		"trailer nonsense":       {"application/grpc", "", "x", "", router.ServerError},
		"header only":            {"application/grpc", "14", "", "", router.Overload},
		"web header":             {"application/grpc-web", "8", "", "", router.Overload},
		"web body":               {"application/grpc-web+proto", "", "", message + frame(0x80, "grpc-status: 13\r\ngrpc-message: x\r\n"), router.ServerError},
		"web body ok":            {"application/grpc-web", "", "", message + frame(0x80, "grpc-status:0\r\n"), router.OK},
		"web text":               {"application/grpc-web-text", "14", "", "", router.Overload},
		"connect end":            {"application/connect+json", "", "", frame(0, "{}") + frame(2, `{"error":{"code":"unavailable"}}`), router.Overload},
		"connect end ok":         {"application/connect+proto", "", "", message + frame(2, "{}"), router.OK},
		"connect end zipped":     {"application/connect+proto", "", "", message + frame(3, zipped(`{"error":{"code":"internal"}}`)), router.ServerError},
		"connect end nonsense":   {"application/connect+proto", "", "", frame(2, "["), router.ServerError},
		"connect end large":      {"application/connect+proto", "", "", message + frame(0, strings.Repeat("x", 70_000)) + frame(2, `{"error":{"code":"not_found"}}`), router.ClientError},
		"another type":           {"text/plain", "14", "14", frame(2, `{"error":{"code":"internal"}}`), router.OK},
	} {
		versions(t, func(t *testing.T, h2 bool) {
			t.Run(name, func(t *testing.T) {
				served, sent := newRecorder(), newRecorder()
				w := newWrapper(t, wrapper.WithObserver(served))
				srv, client := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", c.kind)
					if c.header != "" {
						w.Header().Set("Grpc-Status", c.header)
					}
					if r.Method == "PUT" { // in pieces
						for i := range len(c.body) {
							w.Write([]byte(c.body[i : i+1]))
						}
					} else {
						io.WriteString(w, c.body)
					}
					if c.trailer != "" {
						w.(http.Flusher).Flush() // HTTP/1.1 has trailers after chunks only
						w.Header().Set(http.TrailerPrefix+"Grpc-Status", c.trailer)
					}
				})), h2)
				out := newWrapper(t, wrapper.WithObserver(sent), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
				cl := &http.Client{Transport: out.Transport(client.Transport)}
				for _, method := range []string{"GET", "PUT"} {
					if method == "PUT" && len(c.body) > 1000 {
						continue
					}
					q, _ := http.NewRequestWithContext(context.Background(), method, srv.URL, nil)
					resp, err := cl.Do(q)
					if err != nil {
						t.Fatal(err)
					}
					if b, _ := io.ReadAll(resp.Body); string(b) != c.body {
						t.Errorf("the body was changed: %d bytes of %d", len(b), len(c.body))
					}
					resp.Body.Close()
					if call := served.last(t); call.Class != c.want {
						t.Errorf("%s: the server recorded %v, want %v", method, call.Class, c.want)
					}
					if call := sent.last(t); call.Class != c.want {
						t.Errorf("%s: the client recorded %v, want %v", method, call.Class, c.want)
					}
				}
			})
		})
	}
}
