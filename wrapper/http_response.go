package wrapper

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/router"
)

// response counts what a handler writes. It never holds anything back.
type response struct {
	http.ResponseWriter
	served     *served
	status     int // of the final answer; 0 before there is one
	wrote      bool
	bytes      int64
	hijacked   bool
	returned   atomic.Bool // the handler returned and left a hijacked connection open; onClose is set
	connClosed atomic.Bool
	onClose    func()
}

// Unwrap lets http.ResponseController reach what the server's writer can do.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *response) WriteHeader(code int) {
	if code >= 100 && code < 200 && code != http.StatusSwitchingProtocols {
		r.ResponseWriter.WriteHeader(code) // an interim answer (RFC 9110 section 15.2)
		return
	}
	if !r.wrote {
		r.begin(code)
	}
	r.ResponseWriter.WriteHeader(code)
}

// begin is the last moment at which headers can be set.
func (r *response) begin(code int) {
	r.wrote, r.status = true, code
	r.report()
	if r.served.call.retriesSpent() && classOfStatus(code) != router.OK {
		r.Header()[HeaderNoRetry] = []string{"1"}
	}
}

// report tells the load of the process.
func (r *response) report() {
	if load := r.served.w.Adapter().LoadReport(); load != "" {
		r.Header()[HeaderLoad] = []string{load}
	}
}

func (r *response) Write(b []byte) (int, error) {
	if !r.wrote {
		r.begin(http.StatusOK)
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// WriteString spares io.WriteString a copy.
func (r *response) WriteString(s string) (int, error) {
	if !r.wrote {
		r.begin(http.StatusOK)
	}
	n, err := io.WriteString(r.ResponseWriter, s)
	r.bytes += int64(n)
	return n, err
}

func (r *response) flush() {
	if !r.wrote {
		r.begin(http.StatusOK)
	}
	r.ResponseWriter.(http.Flusher).Flush()
}

func (r *response) readFrom(src io.Reader) (int64, error) {
	if !r.wrote {
		r.begin(http.StatusOK)
	}
	n, err := r.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
	r.bytes += n
	return n, err
}

func (r *response) hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := r.ResponseWriter.(http.Hijacker).Hijack()
	if err != nil {
		return nil, nil, err
	}
	r.hijacked = true
	return &hijacked{Conn: c, r: r}, rw, nil
}

// hijacked tells the call when its connection is closed.
type hijacked struct {
	net.Conn
	r    *response
	once sync.Once
}

func (h *hijacked) Close() error {
	err := h.Conn.Close()
	h.once.Do(func() {
		h.r.connClosed.Store(true)
		if h.r.returned.Load() {
			h.r.onClose()
		}
	})
	return err
}

// The writer that a handler gets has a method of these exactly if the server's
// writer has it, since handlers ask by type assertion.
type (
	flusher    struct{ r *response }
	hijacker   struct{ r *response }
	readerFrom struct{ r *response }
	pusher     struct{ r *response }
)

func (f flusher) Flush()                                        { f.r.flush() }
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.r.hijack() }
func (f readerFrom) ReadFrom(src io.Reader) (int64, error)      { return f.r.readFrom(src) }
func (p pusher) Push(target string, o *http.PushOptions) error {
	return p.r.ResponseWriter.(http.Pusher).Push(target, o)
}

// outer returns r with just the abilities of the writer that it wraps.
func (r *response) outer() http.ResponseWriter {
	_, f := r.ResponseWriter.(http.Flusher)
	_, h := r.ResponseWriter.(http.Hijacker)
	_, rf := r.ResponseWriter.(io.ReaderFrom)
	_, p := r.ResponseWriter.(http.Pusher)
	const F, H, R, P = 1, 2, 4, 8
	switch bit(f, F) | bit(h, H) | bit(rf, R) | bit(p, P) {
	case F:
		return struct {
			*response
			flusher
		}{r, flusher{r}}
	case H:
		return struct {
			*response
			hijacker
		}{r, hijacker{r}}
	case R:
		return struct {
			*response
			readerFrom
		}{r, readerFrom{r}}
	case P:
		return struct {
			*response
			pusher
		}{r, pusher{r}}
	case F | H:
		return struct {
			*response
			flusher
			hijacker
		}{r, flusher{r}, hijacker{r}}
	case F | R:
		return struct {
			*response
			flusher
			readerFrom
		}{r, flusher{r}, readerFrom{r}}
	case F | P:
		return struct {
			*response
			flusher
			pusher
		}{r, flusher{r}, pusher{r}}
	case H | R:
		return struct {
			*response
			hijacker
			readerFrom
		}{r, hijacker{r}, readerFrom{r}}
	case H | P:
		return struct {
			*response
			hijacker
			pusher
		}{r, hijacker{r}, pusher{r}}
	case R | P:
		return struct {
			*response
			readerFrom
			pusher
		}{r, readerFrom{r}, pusher{r}}
	case F | H | R:
		return struct {
			*response
			flusher
			hijacker
			readerFrom
		}{r, flusher{r}, hijacker{r}, readerFrom{r}}
	case F | H | P:
		return struct {
			*response
			flusher
			hijacker
			pusher
		}{r, flusher{r}, hijacker{r}, pusher{r}}
	case F | R | P:
		return struct {
			*response
			flusher
			readerFrom
			pusher
		}{r, flusher{r}, readerFrom{r}, pusher{r}}
	case H | R | P:
		return struct {
			*response
			hijacker
			readerFrom
			pusher
		}{r, hijacker{r}, readerFrom{r}, pusher{r}}
	case F | H | R | P:
		return struct {
			*response
			flusher
			hijacker
			readerFrom
			pusher
		}{r, flusher{r}, hijacker{r}, readerFrom{r}, pusher{r}}
	}
	return r
}

func bit(set bool, b int) int {
	if set {
		return b
	}
	return 0
}
