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
)

// clientAttempt is one attempt of a call over HTTP, and the body of its answer.
type clientAttempt struct {
	Attempt
	call    *clientCall
	pick    router.Pick
	ctx     context.Context
	bound   bounded // without a parent unless it may have to be cut short
	url     url.URL
	header  carried
	start   time.Time
	wire    wire
	backup  *backup    // that may be sent beside it; nil if none may
	upload  *uploading // nil without a body
	result  result
	over    bool
	overdue bool // it said nothing for so long that this speaks against the instance
	answer  io.ReadCloser
	status  bodyStatus // what the body of the answer says, of protocols whose status is there
	once    sync.Once  // the end of the answer: Read and Close may meet
}

// Why an attempt was cut short while its call goes on, or had no deadline.
var (
	errAttempt = timedOut("no answer within the attempt's timeout")
	errSilent  = timedOut(fmt.Sprintf("no answer within %v, and no deadline was set", defaultSilence))
	errBeaten  = errors.New("another instance answered first")
)

// timeoutError is a fault.Timeout, and what net/http's users expect of one.
type timeoutError struct{ error }

func timedOut(text string) error { return &timeoutError{fault.Mark(fault.Timeout, errors.New(text))} }

func (e *timeoutError) Unwrap() error { return e.error }

// Timeout makes it one for url.Error and net.Error.
func (e *timeoutError) Timeout() bool { return true }

// roundTrip sends the request once. A response comes with a nil error.
func (a *clientAttempt) roundTrip() (*http.Response, error) {
	c := a.call
	a.start = c.record.Start
	a.header.Header = c.header
	if a.Number > 1 {
		a.header.Header = maps.Clone(c.header) // the transport may still read the one before
		a.start = time.Now()
		a.header.Set(HeaderAttempt, strconv.Itoa(a.Number))
	}
	if end, ok := c.ctx.Deadline(); ok && c.internal {
		left := time.Until(end)
		a.header.Set(HeaderDeadline, strconv.FormatInt(max(left-left/20, 0).Milliseconds(), 10))
	}
	if a.ctx == nil {
		a.ctx = c.ctx
	}
	if bound, why := c.silence(); bound > 0 {
		a.cuttable()
		timer := time.AfterFunc(bound, func() { a.bound.cancel(why) })
		defer timer.Stop()
	}
	header := a.header.Header
	shown, err := c.show(header)
	if err != nil {
		a.result = result{class: router.ClientError, err: err, own: true}
		return nil, err
	}
	a.Header = &a.header
	a.ctx = c.t.w.Adapter().BeginAttempt(a.ctx, &a.Attempt)
	if a.backup != nil {
		a.backup.allow() // from here on the header is not written any more
	}
	a.wire.start = a.start
	request, err := a.request(header, &a.wire, false)
	if err != nil {
		a.result = result{class: router.ClientError, err: err, own: true}
		return nil, err
	}
	resp, err := c.transport().RoundTrip(request)
	if err == nil && c.wantsNonce(shown, resp) {
		resp, err = a.withNonce(header, resp)
	}
	a.Latency, a.Connecting = time.Since(a.start), a.wire.connecting()
	if err != nil {
		err = a.cause(err)
		a.result = a.broken(err)
		return nil, err
	}
	a.result = result{class: classOfStatus(resp.StatusCode), status: resp.StatusCode, proto: versionText(resp.ProtoMajor, resp.ProtoMinor)}
	if class, ok := a.status.begin(resp.Header, resp.StatusCode); ok {
		a.result.class = class
	}
	if a.result.class.Failed() {
		a.result.pushback, a.result.pushed = retryAfter(resp.Header)
		if !a.result.pushed && a.result.class == router.Overload { // Retry-After goes before
			a.result.pushback, a.result.pushed = limitReset(resp.Header)
		}
		a.result.noRetry = resp.Header[HeaderNoRetry] != nil
	}
	if v := resp.Header[HeaderLoad]; v != nil {
		a.Load = ParseLoad(v[0])
	}
	return resp, nil
}

// cuttable makes it possible to cut the attempt short, before it is sent.
func (a *clientAttempt) cuttable() {
	if a.bound.Context == nil {
		a.bound.Context = a.call.ctx
		if a.call.bound.Context != nil {
			a.bound.above = &a.call.bound
		}
		a.ctx = &a.bound
	}
}

// silence bounds how long an attempt is without an answer's headers, and says
// what the error is then.
func (c *clientCall) silence() (time.Duration, error) {
	if c.plan.attempt > 0 {
		return c.plan.attempt, errAttempt
	}
	if _, bounded := c.ctx.Deadline(); !bounded && c.plan.timeout == 0 {
		return max(defaultSilence-time.Since(c.record.Start), 1), errSilent
	}
	return 0, nil
}

// cause is why an attempt was cut short, if it was.
func (a *clientAttempt) cause(err error) error {
	if why := a.bound.cause(); why != nil && a.call.ctx.Err() == nil {
		return why
	}
	return err
}

// broken is the result of an attempt without an answer, by where it broke.
func (a *clientAttempt) broken(err error) result {
	c := a.call
	switch {
	case a.upload.failed() != nil:
		return result{class: router.ClientError, err: err, own: true}
	case c.ctx.Err() != nil:
		return result{class: classOfBroken(c.ctx, err), err: err}
	case err == errBeaten:
		return result{class: router.Cancelled, err: err}
	case a.wire.unsent(), refusedStream(err):
		return result{class: router.Unsent, err: err}
	case err == errAttempt, err == errSilent:
		return result{class: router.Timeout, err: err}
	}
	if _, real := c.t.base.(*http.Transport); real && !a.wire.asked.Load() {
		return result{class: router.ClientError, err: err, own: true} // it looked for no connection: it takes no such request
	}
	return result{class: classOfBroken(c.ctx, err), err: err}
}

// request makes the request of this attempt from the caller's. again says that
// the attempt has sent one already.
func (a *clientAttempt) request(header http.Header, w *wire, again bool) (*http.Request, error) {
	c := a.call
	r := c.request.WithContext(w.context(a.ctx, c.t.traceKey))
	r.Header, r.URL = header, &a.url
	if r.Host == "" {
		r.Host = c.request.URL.Host
	}
	switch {
	case c.body != nil:
		r.Body = c.body.view()
	case (again || a.Number > 1) && c.request.GetBody != nil:
		b, err := c.request.GetBody()
		if err != nil {
			return nil, fmt.Errorf("body to send again: %w", err)
		}
		r.Body = b
	}
	if r.Body != nil && r.Body != http.NoBody {
		a.upload = &uploading{ReadCloser: r.Body}
		r.Body = a.upload
	}
	return r, nil
}

// done reports how the attempt went to the router and the observers, once.
func (a *clientAttempt) done(err error) {
	if a.over {
		return
	}
	a.over = true
	if a.result.class == router.OK {
		if err != nil {
			a.result.class, a.result.err = classOfBroken(a.call.ctx, err), err
			a.call.last = a.result
		} else if class, ok := a.status.end(); ok {
			a.result.class = class
			a.call.last = a.result
		}
	}
	a.Class, a.Status, a.Err, a.proto = a.result.class, a.result.status, a.result.err, a.result.proto
	if a.Instance != nil {
		a.pick.Done(a.outcome())
	}
	a.call.t.w.Adapter().EndAttempt(a.ctx, &a.Attempt)
	if a.bound.Context != nil {
		a.bound.cancel(nil)
	}
}

// outcome is what the router learns of the attempt: nothing that only the
// caller can be blamed for, and no time that went into making a connection.
func (a *clientAttempt) outcome() router.Outcome {
	o := router.Outcome{Class: a.call.blame(a.Class, a.Latency), Latency: a.Latency - a.Connecting, Load: a.Load}
	switch {
	case a.result.own:
		o.Class = router.Cancelled
	case o.Class == router.Unsent:
		o.Latency = 0
	}
	if a.result.err == errAttempt || a.result.err == errSilent || a.overdue {
		o.Class = a.Class // the bound is ours
	}
	return o
}

// blame is the class by which a part that others share is to learn how the
// call went.
func (c *clientCall) blame(class router.Class, took time.Duration) router.Class {
	_, bounded := c.ctx.Deadline()
	return c.target.blame(class, took, bounded, c.borrowed)
}
