package wrapper_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
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
		"connect without an end": {"application/connect+json", "", "", frame(0, "{}"), router.OK},
		"connect end empty":      {"application/connect+json", "", "", frame(0, "{}") + frame(2, ""), router.OK},
		"connect zipped before":  {"application/connect+proto", "", "", frame(1, zipped("x")) + frame(2, `{"error":{"code":"internal"}}`), router.ServerError},
		"connect end not zipped": {"application/connect+proto", "", "", frame(3, `{"error":{"code":"internal"}}`), router.OK},
		"connect half an end":    {"application/connect+proto", "", "", message + frame(2, `{"error":{"code":"internal"}}`)[:9], router.ServerError},
		"web body zipped":        {"application/grpc-web", "", "", message + frame(0x81, zipped("grpc-status: 8\r\n")), router.Overload},
		"web body, a huge frame": {"application/grpc-web", "", "", "\x80\xff\xff\xff\xffx", router.OK},
		"web body, more lines":   {"application/grpc-web", "", "", message + frame(0x80, "x\r\ngrpc-message: y:z\r\ngrpc-status: 5"), router.ClientError},
		"web without an end":     {"application/grpc-web", "", "", message, router.OK},
		"web end of Connect's":   {"application/grpc-web", "", "", frame(2, "grpc-status: 13\r\n"), router.OK},
		"grpc with a body's end": {"application/grpc", "", "", frame(0x80, "grpc-status: 13\r\n"), router.OK},
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

// The end of a stream is read up to 16 KiB, and each of Connect's codes is one of gRPC's.
func TestEndsOfStreamsOfConnect(t *testing.T) {
	said := func(code int, body string) router.Class {
		rec := newRecorder()
		newWrapper(t, wrapper.WithObserver(rec)).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/connect+json")
			w.WriteHeader(code)
			io.WriteString(w, body)
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
		return rec.last(t).Class
	}
	for code, name := range []string{"", "canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied", "resource_exhausted",
		"failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated"} {
		if got, want := said(200, frame(2, `{"error":{"code":"`+name+`"}}`)), wrapper.ClassOfCode(uint32(code)); got != want {
			t.Errorf("the end says %q: recorded %v, want %v", name, got, want)
		}
	}
	const end = `{"error":{"code":"internal"}}`
	pad := func(n int) string { return end + strings.Repeat(" ", n-len(end)) }
	for name, c := range map[string]struct {
		code int
		body string
		want router.Class
	}{
		"a code that is none":   {200, frame(2, `{"error":{"code":"boom"}}`), router.ServerError},
		"16 KiB":                {200, frame(2, pad(16<<10)), router.ServerError},
		"16 KiB and a byte":     {200, frame(2, pad(16<<10+1)), router.OK}, // it is not kept, and so says nothing
		"the status says more":  {404, frame(2, end), router.ClientError},
		"an end before the end": {200, frame(2, "{}") + frame(2, "") + frame(0, "x"), router.OK},
	} {
		if got := said(c.code, c.body); got != c.want {
			t.Errorf("%s: recorded %v, want %v", name, got, c.want)
		}
	}
}
