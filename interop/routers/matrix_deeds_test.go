package routers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// deed is something that a handler does, and what its caller sees of it.
type deed struct {
	serve  http.HandlerFunc
	method string // GET if empty
	body   string
	header http.Header
	seen   func(t *testing.T, c *http.Client, r *http.Request) string // see if nil
	http1  bool                                                       // HTTP/2 has it not

	outcome
}

// outcome is what a wrapper says of a deed.
type outcome struct {
	status int
	class  router.Class
	ours   bool // the wrapper itself answers, with that status
}

// see is what a caller sees of an answer.
func see(t *testing.T, c *http.Client, r *http.Request) string {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		return "broken"
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Sprint(resp.StatusCode, " broken")
	}
	if len(b) > 100 {
		b = fmt.Appendf(nil, "%d bytes, the last %q", len(b), b[len(b)-10:])
	}
	head := ""
	for _, k := range []string{"Content-Type", "Content-Length", "Cache-Control", "Etag", "X-Mine", "Vary"} {
		if v := resp.Header.Values(k); len(v) > 0 {
			head += fmt.Sprintf(" %s=%s", k, v)
		}
	}
	length := resp.ContentLength
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		length = 0 // over HTTP/2 it is -1 if the stream ends in a frame of its own, which is chance
	}
	return fmt.Sprintf("%d %q%s length=%d trailer=%v close=%v", resp.StatusCode, b, head, length, resp.Trailer, resp.Close && resp.ProtoMajor == 1)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Mine", "yes"); w.WriteHeader(code) }
}

const large = 100_000

var deeds = map[string]deed{
	"nothing":     {serve: func(http.ResponseWriter, *http.Request) {}, outcome: outcome{200, router.OK, false}},
	"204":         {serve: status(204), outcome: outcome{204, router.OK, false}},
	"304":         {serve: status(304), outcome: outcome{304, router.OK, false}},
	"404":         {serve: status(404), outcome: outcome{404, router.ClientError, false}},
	"429":         {serve: status(429), outcome: outcome{429, router.Overload, false}},
	"500":         {serve: status(500), outcome: outcome{500, router.ServerError, false}},
	"503":         {serve: status(503), outcome: outcome{503, router.Overload, false}},
	"two of them": {serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) }, outcome: outcome{201, router.OK, false}},
	"an error":    {serve: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }, outcome: outcome{502, router.ServerError, false}},
	"HEAD": {method: "HEAD", serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "7")
		w.Header().Set("Etag", `"a"`)
	}, outcome: outcome{200, router.OK, false}},
	"a length": {serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	}, outcome: outcome{200, router.OK, false}},
	"echo": {method: "POST", body: strings.Repeat("0123456789", large/10), serve: func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "text/plain")
		io.Copy(w, struct{ io.Reader }{strings.NewReader(string(b))}) // by ReadFrom
	}, outcome: outcome{200, router.OK, false}},
	"a file": {serve: func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(strings.Repeat("x", large)))
	}, header: http.Header{"Range": {"bytes=10-19"}}, outcome: outcome{206, router.OK, false}},
	"early hints": {serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(201)
	}, seen: hints, outcome: outcome{201, router.OK, false}},
	"trailers": {serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Said")
		io.WriteString(w, "body")
		w.Header().Set("X-Said", "before")
		w.Header().Set(http.TrailerPrefix+"X-Late", "not")
	}, outcome: outcome{200, router.OK, false}},
	"grpc's status": {serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(200)
		w.Header().Set("Grpc-Status", "14")
	}, outcome: outcome{200, router.Overload, false}},
	"a stream": {serve: stream, seen: oneByOne, outcome: outcome{200, router.OK, false}},
	"upgrade":  {serve: upgrade, seen: upgraded, http1: true, header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}, outcome: outcome{0, router.OK, false}},
	"too large": {method: "POST", body: strings.Repeat("x", 11), serve: func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		}
	}, outcome: outcome{413, router.ClientError, false}},
	"just not too large": {method: "POST", body: strings.Repeat("x", 10), serve: func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10)); err != nil {
			panic(err)
		}
	}, outcome: outcome{200, router.OK, false}},
	"a panic": {serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("X-Mine", "yes")
		panic("boom")
	}, outcome: outcome{500, router.ServerError, true}},
	"a panic after half of it": {serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(2*large))
		io.WriteString(w, strings.Repeat("x", large))
		panic("boom")
	}, outcome: outcome{200, router.ServerError, false}},
	"an abort": {serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, outcome: outcome{0, router.Cancelled, false}},
	"silence until the deadline": {serve: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		header: http.Header{"X-Deadline-Ms": {"50"}}, outcome: outcome{504, router.Timeout, true}},
	"an answer after the deadline": {serve: func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		w.Header().Set("X-Mine", "yes")
		io.WriteString(w, "late")
	}, header: http.Header{"X-Deadline-Ms": {"50"}}, outcome: outcome{504, router.Timeout, true}},
}

// hints sees interim answers.
func hints(t *testing.T, c *http.Client, r *http.Request) string {
	t.Helper()
	got := ""
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got += fmt.Sprint(code, h.Get("Link"), "; ")
		return nil
	}}))
	return got + see(t, c, r)
}

// receipts are what callers send to handlers beside their requests, by the path.
var receipts sync.Map

// exceptions are deeds that come out of a setting as something else, there and
// without a wrapper.
var exceptions = map[string]map[string]outcome{
	"gin":  {"two of them": {500, router.ServerError, false}}, // the last one counts
	"echo": {"early hints": {200, router.OK, false}},          // an interim status counts
	"inside TimeoutHandler": {
		"upgrade": {501, router.ServerError, false},
	},
	"around TimeoutHandler": {
		"early hints":              {200, router.OK, false},
		"upgrade":                  {501, router.ServerError, false},
		"a panic after half of it": {500, router.ServerError, true}, // that half was held back
	},
	"proxy to HTTP/1.1": proxys,
	"proxy to HTTP/2": {
		"a panic": proxys["a panic"], "an abort": proxys["an abort"], "a panic after half of it": proxys["a panic after half of it"],
		"upgrade": {502, router.ServerError, false}, // HTTP/2 has none
	},
}

// The instance behind the proxy broke the connection.
var proxys = map[string]outcome{
	"a panic":                  {502, router.ServerError, false},
	"an abort":                 {502, router.ServerError, false},
	"a panic after half of it": {200, router.Cancelled, false}, // the proxy aborts
}

func received(r *http.Request) chan bool {
	c, _ := receipts.LoadOrStore(r.URL.Path, make(chan bool, 3))
	return c.(chan bool)
}

// piece is so large that gzip doesn't wait for more.
var piece = strings.Repeat("0123456789abcde\n", 4<<10/16)

// stream sends the second piece when the caller has the first.
func stream(w http.ResponseWriter, r *http.Request) {
	next := received(r)
	for i := range 3 {
		fmt.Fprintf(w, "%s%d\n", piece, i)
		if err := http.NewResponseController(w).Flush(); err != nil {
			fmt.Fprintln(w, err)
			return
		}
		select {
		case <-next:
		case <-time.After(30 * time.Second):
			fmt.Fprintln(w, "what was flushed did not arrive")
			return
		}
	}
}

func oneByOne(t *testing.T, c *http.Client, r *http.Request) string {
	t.Helper()
	next := received(r)
	resp, err := c.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	seen := resp.Status
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if len(in.Text()) == 1 { // the end of a piece
			next <- true
		}
		if len(in.Text()) != 15 {
			seen += ", " + in.Text()
		}
	}
	return seen
}

// upgrade takes the connection over.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	defer conn.Close()
	rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	rw.Flush()
	line, _ := rw.ReadString('\n')
	rw.WriteString("echo " + line)
	rw.Flush()
}

func upgraded(t *testing.T, c *http.Client, r *http.Request) string {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if w, ok := resp.Body.(io.Writer); ok {
		io.WriteString(w, "hello\n")
	}
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%s %q %v", resp.Status, b, err)
}
