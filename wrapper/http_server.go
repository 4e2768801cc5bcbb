package wrapper

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

// Handler wraps a service's handler.
func (w *Wrapper) Handler(next http.Handler) http.Handler {
	if next == nil {
		next = http.NotFoundHandler()
	}
	return &handler{w, next}
}

type handler struct {
	w    *Wrapper
	next http.Handler
}

// serverCall is all that one request needs, in one allocation.
type serverCall struct {
	record Call
	ctx    callContext
	limit  bounded // around ctx: with the deadline
	response
	w       *Wrapper
	request *http.Request // as the handler got it
	before  http.Header   // what was set before the handler; nil for nothing
	limits  standings
	id      [1]string // the value of the response's X-Request-Id
	route   atomic.Pointer[string]
	ended   atomic.Bool
}

func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if h.w.probed(rw, r) {
		return
	}
	r, resource, pathErr := h.w.normalize(r)
	s := &serverCall{w: h.w}
	c := &s.record // field by field: a literal would be copied
	c.Side, c.Protocol, c.Service = Server, "http", h.w.o.name
	c.Action, c.Resource, c.pathErr = action(r.Method), resource, pathErr
	c.Header, c.Start, c.native = trace.Header(r.Header), time.Now(), r
	if h.w.o.edge {
		r = h.w.border(&s.record, r)
		s.record.Header, s.record.native = trace.Header(r.Header), r
	}
	s.record.RequestID = requestID(r.Header.Get(HeaderRequestID))
	if !h.w.o.quietLimits {
		s.record.standings = &s.limits
	}
	s.response.ResponseWriter, s.response.call = rw, s
	if header := rw.Header(); len(header) > 0 {
		s.before = maps.Clone(header)
	}
	s.id[0] = s.record.RequestID
	rw.Header()[HeaderRequestID] = s.id[:]
	h.w.giveNonce(rw.Header(), r)

	s.ctx.Context, s.ctx.call, s.ctx.route = r.Context(), &s.record, &s.route
	s.limit.Context, s.limit.end = &s.ctx, h.w.end(&s.record, r)
	defer s.limit.cancel(nil)
	s.bound = &s.limit
	ctx, err := h.w.Begin(&s.limit, &s.record)
	defer s.finish(ctx)
	if err != nil {
		s.refuse(err)
		return
	}
	if labels := labelsOf(r.Header); labels != nil {
		ctx = ContextWithLabels(ctx, labels)
	}
	s.request = r.WithContext(ctx)
	h.next.ServeHTTP(s.response.outer(), s.request)
}

// end is the deadline of the caller, or the server's own; zero for none. What
// streams or is upgraded is not bounded by the server.
func (w *Wrapper) end(c *Call, r *http.Request) time.Time {
	d, ok := remaining(r.Header.Get(HeaderDeadline))
	if own := w.planOf(c).timeout; own > 0 && !streams(r) && (!ok || own < d) {
		return c.Start.Add(own)
	}
	if !ok {
		return time.Time{}
	}
	c.brought = c.Start.Add(d)
	return c.brought
}

// streams reports whether the answer may go on indefinitely.
func streams(r *http.Request) bool {
	t := r.Header.Get("Content-Type")
	return r.Header.Get("Upgrade") != "" || strings.Contains(r.Header.Get("Accept"), "text/event-stream") ||
		strings.HasPrefix(t, "application/grpc") || strings.HasPrefix(t, "application/connect+")
}

// action keeps strange methods out of the names of metrics.
func action(method string) string {
	switch method {
	case "":
		return http.MethodGet
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return other
}

// finish runs when the handler has returned or panicked.
func (s *serverCall) finish(ctx context.Context) {
	if v := recover(); v != nil {
		s.record.Panic = v
		if v == http.ErrAbortHandler { // the handler wants the connection cut: nobody failed
			s.record.Panic, s.record.Class = nil, router.Cancelled
			s.end(ctx)
			panic(v)
		}
		s.record.Stack = debug.Stack()
		wrote := s.response.wrote
		if !wrote && !s.hijacked {
			s.response.instead(http.StatusInternalServerError)
		}
		s.record.Class = router.ServerError
		s.end(ctx)
		if wrote && !s.hijacked {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
		return
	}
	if !s.response.wrote && !s.hijacked {
		if overdue(s.bound) {
			s.response.instead(http.StatusGatewayTimeout)
		} else {
			s.response.tell() // net/http answers for a handler that writes nothing
			s.says.begin(s.Header(), http.StatusOK)
		}
	}
	if s.hijacked && !s.response.connClosed.Load() {
		s.response.onClose = func() { s.end(ctx) }
		s.response.returned.Store(true)
		if !s.response.connClosed.Load() {
			return // the call ends with its connection
		}
	}
	s.end(ctx)
}

// end records the call, once.
func (s *serverCall) end(ctx context.Context) {
	if s.ended.Swap(true) {
		return
	}
	c := &s.record
	c.Duration = time.Since(c.Start)
	c.Method, c.Route = s.method()
	c.Status, c.BytesOut, c.Hijacked = s.status, s.bytes, s.hijacked
	silent := c.Status == 0 && !c.Hijacked
	switch {
	case c.Class != router.OK:
	case silent && errors.Is(ctx.Err(), context.Canceled):
		c.Class = router.Cancelled // nobody was there to be answered
	default:
		if silent {
			c.Status = http.StatusOK // net/http answers this for a handler that writes nothing
		}
		c.Class = classOfStatus(c.Status)
		if class, ok := s.says.served(s.Header()); ok {
			c.Class = class
		}
	}
	s.w.End(ctx, c)
}

// refuse answers a call that a gate did not let through.
func (s *serverCall) refuse(err error) {
	code, h := StatusOf(err), s.Header()
	if code == http.StatusUnauthorized {
		_, challenge := auth.Challenge(err)
		h.Set("WWW-Authenticate", cmp.Or(challenge, "Bearer")) // a gate may have errors of its own
	}
	if wait, ok := s.limits.after(err); ok {
		h.Set("Retry-After", strconv.FormatInt(seconds(wait), 10))
	}
	s.record.Err = err
	s.response.answer(code)
}

// StatusOf is the HTTP status of a gate's error: see Gate. What other packages
// than auth and router say, such as kv.ErrUnavailable, is 500.
func StatusOf(err error) int {
	switch {
	case errors.Is(err, auth.ErrPath):
		return http.StatusBadRequest
	case isOneOf(err, auth.ErrUnavailable, auth.ErrClosed, router.ErrUnavailable, router.ErrClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, auth.ErrUnauthenticated):
		return http.StatusUnauthorized
	case errors.Is(err, auth.ErrDenied):
		return http.StatusForbidden
	case errors.Is(err, router.ErrLimited):
		return http.StatusTooManyRequests
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
