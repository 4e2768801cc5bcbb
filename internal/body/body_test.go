package body_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/body"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// serve reads bodies of at most 5 bytes within the time, answers what came of
// it, and then works for as long.
func serve(t *testing.T, within, timeout time.Duration) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		read := body.Bound(w, r, 5, within)
		b, err := io.ReadAll(r.Body)
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			fmt.Fprint(w, "too large")
		case errors.Is(err, os.ErrDeadlineExceeded):
			bound := within
			if timeout > 0 {
				bound = min(within, timeout)
			}
			if time.Since(start) < bound/2 { // how long a busy machine takes beyond it is its own
				fmt.Fprint(w, "too soon: ")
			}
			fmt.Fprint(w, "too slow")
		case err != nil:
			fmt.Fprint(w, err)
		default:
			read()
			select {
			case <-r.Context().Done():
				fmt.Fprint(w, "cancelled")
			case <-time.After(2 * within):
				fmt.Fprintf(w, "read %q", b)
			}
		}
	}))
	s.Config.ReadTimeout = timeout
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// send writes a request whose body has that length and returns the answer.
func send(t *testing.T, s *httptest.Server, length int, sent string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", length, sent)
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBodiesAreBoundedInSizeAndTime(t *testing.T) {
	const within = 200 * time.Millisecond
	s := serve(t, within, 0)
	for _, c := range []struct {
		length int
		sent   string
		want   string
	}{
		{4, "abcd", `read "abcd"`},
		{5, "abcde", `read "abcde"`}, // at the bound, and the handler works on after the time
		{6, "abcdef", "too large"},
		{5, "abcd", "too slow"}, // and never the rest
		{0, "", `read ""`},
	} {
		if got := send(t, s, c.length, c.sent); got != c.want {
			t.Errorf("%d bytes of which %q came: %s, want %s", c.length, c.sent, got, c.want)
		}
	}
}

// The server's own timeout is not made longer.
func TestAShorterReadTimeoutStays(t *testing.T) {
	s := serve(t, time.Minute, 100*time.Millisecond)
	if got := send(t, s, 5, "abcd"); got != "too slow" {
		t.Errorf("got %s, want it after the server's 100ms", got)
	}
}

func TestAWriterWithoutAConnectionIsBoundedInSize(t *testing.T) {
	for length, want := range map[int]bool{5: true, 6: false} {
		r := httptest.NewRequest("POST", "/", io.LimitReader(zeros{}, int64(length)))
		read := body.Bound(httptest.NewRecorder(), r, 5, time.Second)
		_, err := io.ReadAll(r.Body)
		read()
		if (err == nil) != want {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
