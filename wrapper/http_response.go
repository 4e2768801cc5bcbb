package wrapper

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/micro/go-platform/router"
)

// response counts what a handler writes. It never holds anything back.
type response struct {
	http.ResponseWriter
	call       *serverCall
	bound      context.Context // with the call's deadline
	status     int             // of the final answer; 0 before there is one
	wrote      bool
	dropped    bool // the handler's answer came too late
	says       bodyStatus
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
	if !r.may(code) {
		return
	}
	r.ResponseWriter.WriteHeader(code)
}

// may reports whether the handler may write, and begins its answer with code
// if it is the first thing that it writes. An answer that begins after the
// call's deadline is dropped: nobody waits for it, and it must not look well.
func (r *response) may(code int) bool {
	if r.wrote {
		return !r.dropped
	}
	if overdue(r.bound) {
		r.call.record.Late, r.dropped = true, true
		r.instead(http.StatusGatewayTimeout)
		return false
	}
	r.begin(code)
	return true
}

// overdue reports whether the deadline of a call is over.
func overdue(ctx context.Context) bool { return ctx.Err() == context.DeadlineExceeded }

// instead answers for a handler that has not: without what it had set.
func (r *response) instead(code int) {
	h := r.Header()
	clear(h)
	maps.Copy(h, r.call.before)
	h[HeaderRequestID] = r.call.id[:]
	r.answer(code)
}

// answer answers with the status alone, or what that is in the caller's protocol.
func (r *response) answer(code int) {
	if r.answerRPC(code) {
		return
	}
	r.begin(code)
	http.Error(r.ResponseWriter, http.StatusText(code), code)
}

// begin is the last moment at which headers can be set.
func (r *response) begin(code int) {
	r.wrote, r.status = true, code
	r.tell()
	r.says.begin(r.Header(), code)
	if code == http.StatusRequestEntityTooLarge && r.call.record.Request().ProtoMajor == 1 {
		r.Header().Set("Connection", "close") // what http.MaxBytesReader does to a writer of net/http's own
	}
	if r.call.record.retriesSpent() && classOfStatus(code) != router.OK {
		r.Header()[HeaderNoRetry] = []string{"1"}
	}
}

// tell sets the headers that are as they are at the end: that the process drains,
// its load, and where the limits stand.
func (r *response) tell() {
	if r.call.w.draining.Load() { // the caller's next request is for another instance
		r.Header()["Connection"] = []string{"close"}
	}
	if !r.call.w.o.quietLimits {
		r.call.limits.tell(r.Header(), &r.call.w.limitPolicy)
	}
	if load := r.call.w.Adapter().LoadReport(&r.call.record); load != "" {
		r.Header()[HeaderLoad] = []string{load}
	}
}

func (r *response) Write(b []byte) (int, error) {
	if !r.may(http.StatusOK) {
		return 0, http.ErrHandlerTimeout
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	r.says.write(b[:n])
	return n, err
}

// WriteString spares io.WriteString a copy.
func (r *response) WriteString(s string) (int, error) {
	if !r.may(http.StatusOK) {
		return 0, http.ErrHandlerTimeout
	}
	if r.says.kind > grpcHTTP {
		return r.Write([]byte(s))
	}
	n, err := io.WriteString(r.ResponseWriter, s)
	r.bytes += int64(n)
	return n, err
}

// flush reports what http.ResponseController is to say: that the caller is gone.
func (r *response) flush() error {
	if !r.may(http.StatusOK) {
		return http.ErrHandlerTimeout
	}
	f, ok := r.ResponseWriter.(interface{ FlushError() error })
	if ok {
		return f.FlushError()
	}
	r.ResponseWriter.(http.Flusher).Flush()
	return nil
}

func (r *response) readFrom(src io.Reader) (int64, error) {
	if !r.may(http.StatusOK) {
		return 0, http.ErrHandlerTimeout
	}
	if r.says.kind > grpcHTTP {
		return io.Copy(struct{ io.Writer }{r}, src)
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
	return watch(c, r), rw, nil
}

// CloseNotify is for handlers that still ask by it (http.CloseNotifier); what
// the server's writer lacks, the request's context makes up for.
func (r *response) CloseNotify() <-chan bool {
	//lint:ignore SA1019 gin's Stream knows no other way
	if n, ok := r.ResponseWriter.(http.CloseNotifier); ok {
		return n.CloseNotify()
	}
	c := make(chan bool, 1)
	context.AfterFunc(r.bound, func() { c <- true })
	return c
}

func (r *response) push(target string, o *http.PushOptions) error {
	return r.ResponseWriter.(http.Pusher).Push(target, o)
}
