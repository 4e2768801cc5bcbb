package wrapper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

// sending is one attempt of a call over HTTP, and the body of its answer.
type sending struct {
	Attempt
	sent   *sent
	pick   router.Pick
	ctx    context.Context
	cancel context.CancelCauseFunc // nil unless it may have to be cut short
	url    url.URL
	start  time.Time
	result result
	over   bool
	answer io.ReadCloser
	once   sync.Once // the end of the answer: Read and Close may meet
}

// errAttempt is why an attempt was cut short whose call goes on.
var errAttempt = fault.Mark(fault.Timeout, errors.New("no answer within the attempt's timeout"))

// roundTrip sends the request once. A response comes with a nil error.
func (a *sending) roundTrip() (*http.Response, error) {
	s := a.sent
	a.start = s.call.Start
	header := s.header
	if a.Number > 1 || a.cancel != nil {
		header = maps.Clone(header) // the transport may still read the one before
	}
	if a.Number > 1 {
		a.start = time.Now()
		header[HeaderAttempt] = []string{strconv.Itoa(a.Number)}
	}
	if end, ok := s.ctx.Deadline(); ok && s.internal {
		left := time.Until(end)
		header[HeaderDeadline] = []string{strconv.FormatInt(max(left-left/20, 0).Milliseconds(), 10)}
	}
	if a.ctx == nil {
		a.ctx = s.ctx
	}
	if d := s.t.w.o.attempt; d > 0 {
		if a.cancel == nil {
			a.ctx, a.cancel = context.WithCancelCause(a.ctx)
		}
		timer := time.AfterFunc(d, func() { a.cancel(errAttempt) })
		defer timer.Stop()
	}
	a.Header = trace.Header(header)
	for _, ob := range s.t.w.attempts {
		a.ctx = ob.BeginAttempt(a.ctx, &a.Attempt)
	}
	request, err := a.request(header)
	if err != nil {
		a.result = result{class: router.Cancelled, err: err}
		return nil, err
	}
	resp, err := s.t.base.RoundTrip(request)
	a.Latency = time.Since(a.start)
	if err != nil {
		if errors.Is(context.Cause(a.ctx), errAttempt) {
			err = errAttempt
		}
		a.result = result{class: classOfError(s.ctx, err), err: err}
		if errors.Is(err, errAttempt) {
			a.result.class = router.Timeout
		}
		return nil, err
	}
	a.result = result{class: classOfStatus(resp.StatusCode), status: resp.StatusCode}
	if a.result.class.Failed() {
		a.result.pushback, a.result.pushed = retryAfter(resp.Header)
		a.result.noRetry = resp.Header[HeaderNoRetry] != nil
	}
	if v := resp.Header[HeaderLoad]; v != nil {
		a.Load = ParseLoad(v[0])
	}
	return resp, nil
}

// request makes the request of this attempt from the caller's.
func (a *sending) request(header http.Header) (*http.Request, error) {
	s := a.sent
	r := s.request.WithContext(a.ctx)
	r.Header, r.URL = header, &a.url
	if r.Host == "" {
		r.Host = s.request.URL.Host
	}
	switch {
	case s.body != nil:
		r.Body = s.body.view()
	case a.Number > 1 && s.request.GetBody != nil:
		b, err := s.request.GetBody()
		if err != nil {
			return nil, fmt.Errorf("body to send again: %w", err)
		}
		r.Body = b
	}
	return r, nil
}

// hand makes a response the call's answer: the call ends when its body does.
func (a *sending) hand(resp *http.Response) *http.Response {
	resp.Request = a.sent.request
	a.answer = resp.Body
	switch w := resp.Body.(type) {
	case nil:
		a.Close()
	case io.ReadWriteCloser: // a connection that was upgraded
		resp.Body = struct {
			*sending
			io.Writer
		}{a, w}
	default:
		if resp.Body == http.NoBody {
			a.end(nil)
		} else {
			resp.Body = a
		}
	}
	return resp
}

// Read reads the answer. Its end, good or bad, is that of the call.
func (a *sending) Read(p []byte) (int, error) {
	n, err := a.answer.Read(p)
	if err == io.EOF {
		a.end(nil)
	} else if err != nil {
		a.end(err)
	}
	return n, err
}

// Close ends the call, however much of the answer was read.
func (a *sending) Close() error {
	var err error
	if a.answer != nil {
		err = a.answer.Close()
	}
	a.end(nil)
	return err
}

// end ends the attempt and with it the call. err is what broke the reading.
func (a *sending) end(err error) {
	a.once.Do(func() { a.done(err); a.sent.finish(err) })
}

// done tells everybody how the attempt went, once.
func (a *sending) done(err error) {
	if a.over {
		return
	}
	a.over = true
	if err != nil && a.result.class == router.OK {
		a.result.class, a.result.err = classOfError(a.sent.ctx, err), err
		a.sent.last = a.result
	}
	a.Class, a.Status, a.Err = a.result.class, a.result.status, a.result.err
	if a.Instance != nil {
		a.pick.Done(router.Outcome{Class: a.Class, Latency: a.Latency, Load: a.Load})
	}
	for i := len(a.sent.t.w.attempts) - 1; i >= 0; i-- {
		a.sent.t.w.attempts[i].EndAttempt(a.ctx, &a.Attempt)
	}
	if a.cancel != nil {
		a.cancel(nil)
	}
}

// discard closes an answer that nobody will see. A short one is read to its
// end, which keeps its connection.
func discard(resp *http.Response) {
	if resp == nil || resp.Body == nil {
		return
	}
	if n := resp.ContentLength; n > 0 && n <= 4<<10 {
		io.CopyN(io.Discard, resp.Body, n)
	}
	resp.Body.Close()
}
