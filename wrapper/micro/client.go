package micro

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"go-micro.dev/v5/client"
	"go-micro.dev/v5/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// Option configures Client.
type Option struct{ set func(*options) }

type options struct {
	idempotent func(service, endpoint string) bool
}

// WithIdempotent tells which endpoints may be processed twice. The default is
// none of them, as it is with nil.
func WithIdempotent(f func(service, endpoint string) bool) Option {
	if f == nil {
		return Option{}
	}
	return Option{func(o *options) { o.idempotent = f }}
}

// Client puts w around the calls, streams and messages of a client.
func Client(w *wrapper.Wrapper, opts ...Option) client.Wrapper {
	o := options{idempotent: func(string, string) bool { return false }}
	for _, opt := range opts {
		if opt.set != nil {
			opt.set(&o)
		}
	}
	return func(inner client.Client) client.Client {
		return &wrapped{Client: inner, w: w, a: w.Adapter(), o: o}
	}
}

type wrapped struct {
	client.Client
	w *wrapper.Wrapper
	a wrapper.Adapter
	o options
}

// clientCall is one call that goes out.
type clientCall struct {
	*wrapped
	call  wrapper.Call
	ctx   context.Context
	md    metadata.Metadata
	tried []string
	last  router.Class // of the newest attempt
	token *auth.Token  // to show; nil for none
	err   error        // the limit of a policy, when it began
}

// begin starts a call.
func (c *wrapped) begin(ctx context.Context, call wrapper.Call) *clientCall {
	s := &clientCall{wrapped: c, call: call}
	s.md, _ = metadata.FromContext(ctx) // a copy, but of strings that were there
	if s.md == nil {
		s.md = metadata.Metadata{}
	}
	header := trace.Map(s.md)
	for _, k := range []string{wrapper.HeaderDeadline, wrapper.HeaderAttempt, "Baggage"} { // of a call that is being handled
		delete(s.md, http.CanonicalHeaderKey(k))
	}
	id := header.Get(wrapper.HeaderRequestID)
	if parent, ok := wrapper.FromContext(ctx); ok {
		id = parent.RequestID
	}
	s.call.Side, s.call.Protocol, s.call.Start = wrapper.Client, "micro", time.Now()
	s.call.RequestID, s.call.Header = c.a.RequestID(id), header
	header.Set(wrapper.HeaderRequestID, s.call.RequestID)
	c.a.Carry(ctx, header)
	s.ctx, s.err = c.w.Begin(ctx, &s.call)
	return s
}

// findToken finds the token that the service called is to see. What came with
// a call that is being handled is not for others.
func (s *clientCall) findToken(ctx context.Context) (err error) {
	if s.err != nil {
		return s.err
	}
	if parent, ok := wrapper.FromContext(ctx); ok && parent.Protocol == "micro" {
		delete(s.md, "Authorization")
		delete(s.md, proofKey)
	} else if s.md["Authorization"] != "" {
		return nil
	}
	s.token, err = s.a.Token(s.ctx, s.call.Service)
	return err
}

// refuse records a call that was not sent, or not again, and returns its error.
func (s *clientCall) refuse(err error) error {
	class, status := refused(s.ctx, err), 0
	if s.call.Attempts > 0 && !s.call.Message { // the attempt before says more
		class, status = s.last, s.call.Status
	}
	return s.end(class, status, err)
}

// finish records the call and returns its error.
func (s *clientCall) finish(err error) error {
	class, status := outcome(s.ctx, err)
	return s.end(class, status, err)
}

func (s *clientCall) end(class router.Class, status int, err error) error {
	s.call.Class, s.call.Status = class, status
	if s.call.Class != router.OK {
		s.call.Err = err
	}
	s.call.Duration = time.Since(s.call.Start)
	s.w.End(s.ctx, &s.call)
	return err
}

// attempt is one try of a call.
type attempt struct {
	wrapper.Attempt
	s     *clientCall
	ctx   context.Context
	pick  router.Pick
	start time.Time
	opts  []client.CallOption
	md    metadata.Metadata
	shown auth.Presentation // of the token, if there is one
}

// attempt prepares the next one: it picks an instance, if there is a
// router.
func (s *clientCall) attempt(opts []client.CallOption) (*attempt, error) {
	t := &attempt{s: s, start: time.Now(), Attempt: wrapper.Attempt{Call: &s.call, Number: s.call.Attempts + 1}}
	md := metadata.Copy(s.md)
	t.Header = trace.Map(md)
	t.opts = append(opts[:len(opts):len(opts)], client.WithRetries(0))
	if r := s.a.Router(); r != nil {
		pick, err := r.Pick(s.ctx, s.call.Service, s.a.SelectOptions(s.ctx, s.call.Method, s.tried, nil)...)
		if err != nil {
			return nil, err
		}
		t.pick, t.Instance = pick, pick.Instance
		s.call.Instance, s.call.Variant = pick.Instance, pick.Variant
		s.tried = append(s.tried, pick.Instance.ID)
		t.opts = append(t.opts, client.WithAddress(pick.Instance.Address))
	}
	if end, ok := s.ctx.Deadline(); ok {
		left := time.Until(end)
		t.Header.Set(wrapper.HeaderDeadline, strconv.FormatInt(max(left-left/20, 0).Milliseconds(), 10))
		t.opts = append(t.opts, func(o *client.CallOptions) { o.ConnectionTimeout = max(left, 1) })
	}
	if t.Number > 1 {
		t.Header.Set(wrapper.HeaderAttempt, strconv.Itoa(t.Number))
	}
	t.md = md
	err := t.show()
	if err != nil {
		if t.Instance != nil {
			t.pick.Done(router.Outcome{Class: router.Cancelled})
		}
		return nil, err
	}
	s.call.Attempts = t.Number // from here on it counts as sent
	t.ctx = metadata.NewContext(s.a.BeginAttempt(s.ctx, &t.Attempt), md)
	return t, nil
}

// ended ends an attempt.
func (t *attempt) ended(err error) {
	t.Class, t.Status = outcome(t.s.ctx, err)
	t.Err, t.s.last = err, t.Class
	if t.Latency == 0 {
		t.Latency = time.Since(t.start)
	}
	if t.Class == router.OK {
		t.s.a.Took(&t.s.call, t.Latency)
	}
	if t.Instance != nil {
		t.pick.Done(router.Outcome{Class: t.s.a.Blame(t.s.ctx, &t.s.call, t.Class, t.Latency), Latency: t.Latency})
	}
	t.s.a.EndAttempt(t.ctx, &t.Attempt)
}

// Call makes a call, again if need be.
func (c *wrapped) Call(ctx context.Context, req client.Request, rsp any, opts ...client.CallOption) error {
	call := wrapper.Call{Side: wrapper.Client, Protocol: "micro", Service: req.Service(), Method: req.Endpoint(), Action: req.Endpoint()}
	bounded, cancel := c.a.Bound(ctx, &call)
	defer cancel()
	s := c.begin(bounded, call)
	c.a.Called(&s.call)
	if err := s.findToken(ctx); err != nil {
		return s.refuse(err)
	}
	for n := 1; ; n++ {
		t, err := s.attempt(opts)
		if err != nil {
			return s.refuse(err)
		}
		answer := fresh(rsp)
		one, cancel := c.a.BoundAttempt(t.ctx, &s.call)
		err = c.Client.Call(one, req, answer, t.opts...)
		if t.wantsNonce(err) && t.show() == nil {
			err = c.Client.Call(metadata.NewContext(one, t.md), req, answer, t.opts...)
		}
		cancel()
		t.ended(err)
		if err == nil {
			keep(rsp, answer)
		}
		wait, again := c.a.Again(s.ctx, &s.call, t.Class, n, c.o.idempotent(req.Service(), req.Endpoint()), 0)
		if !again {
			return s.finish(err)
		}
		if backoff.Sleep(s.ctx, wait) != nil {
			return s.finish(err)
		}
	}
}

// fresh is an empty answer like rsp.
func fresh(rsp any) any {
	v := reflect.ValueOf(rsp)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return rsp
	}
	return reflect.New(v.Type().Elem()).Interface()
}

// keep makes rsp what answer is.
func keep(rsp, answer any) {
	if m, ok := rsp.(proto.Message); ok {
		proto.Reset(m)
		proto.Merge(m, answer.(proto.Message))
	} else if v := reflect.ValueOf(rsp); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().Set(reflect.ValueOf(answer).Elem())
	}
}

// Stream opens a stream, once.
func (c *wrapped) Stream(ctx context.Context, req client.Request, opts ...client.CallOption) (client.Stream, error) {
	s := c.begin(ctx, wrapper.Call{Service: req.Service(), Method: req.Endpoint(), Action: req.Endpoint()})
	if err := s.findToken(ctx); err != nil {
		return nil, s.refuse(err)
	}
	t, err := s.attempt(opts)
	if err != nil {
		return nil, s.refuse(err)
	}
	inner, err := c.Client.Stream(t.ctx, req, t.opts...)
	if err != nil {
		t.ended(err)
		return nil, s.finish(err)
	}
	t.Latency = time.Since(t.start) // how long it lives says nothing about its instance
	out := &stream{Stream: inner, end: func(err error) { t.ended(err); s.finish(err) }}
	// A stream that nobody reads to its end is over with its context.
	out.stop = context.AfterFunc(s.ctx, func() { out.over(context.Cause(s.ctx)) })
	return out, nil
}

// stream ends its call once.
type stream struct {
	client.Stream
	once sync.Once
	end  func(error)
	stop func() bool
}

func (s *stream) over(err error) { s.once.Do(func() { s.end(err) }) }

func (s *stream) Recv(m any) error {
	err := s.Stream.Recv(m)
	if err != nil {
		s.over(err)
		s.stop()
	}
	return err
}

func (s *stream) Send(m any) error {
	err := s.Stream.Send(m)
	if err != nil && err != io.EOF {
		s.over(err)
		s.stop()
	}
	return err
}

func (s *stream) Close() error {
	err := s.Stream.Close()
	s.over(nil)
	s.stop()
	return err
}

// Publish publishes a message that carries what belongs to the call.
func (c *wrapped) Publish(ctx context.Context, msg client.Message, opts ...client.PublishOption) error {
	s := c.begin(ctx, wrapper.Call{Message: true, Service: "broker", Method: msg.Topic(), Action: "publish", Attempts: 1})
	delete(s.md, "Authorization")
	delete(s.md, proofKey)
	if s.err != nil {
		return s.refuse(s.err)
	}
	return s.finish(c.Client.Publish(metadata.NewContext(s.ctx, s.md), msg, opts...))
}
