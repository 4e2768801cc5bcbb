package grpc

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/micro/go-platform/auth"
	authgrpc "github.com/micro/go-platform/auth/grpc"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// DialOptions puts w around all calls of a connection.
func DialOptions(w *wrapper.Wrapper, opts ...Option) []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(UnaryClient(w, opts...)), grpc.WithChainStreamInterceptor(StreamClient(w, opts...))}
}

// serviceOf names the service behind a connection.
func (o options) serviceOf(cc *grpc.ClientConn) string {
	if o.service != "" {
		return o.service
	}
	if _, name, ok := strings.Cut(cc.Target(), ":///"); ok {
		return name
	}
	return cc.Target()
}

// UnaryClient puts w around the unary calls of a connection.
func UnaryClient(w *wrapper.Wrapper, opts ...Option) grpc.UnaryClientInterceptor {
	o := newOptions(opts)
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, callOpts ...grpc.CallOption) error {
		var tried []string
		return unary(ctx, w, o.serviceOf(cc), method, o, callOpts, func(ctx context.Context, t *wrapper.Attempt, callOpts []grpc.CallOption, shown *authgrpc.Shown) error {
			rt := &routing{call: t.Call, tried: tried}
			err := again(shown, callOpts, func(callOpts []grpc.CallOption) error {
				return invoke(context.WithValue(ctx, routingKey{}, rt), method, req, reply, cc, callOpts...)
			})
			if rt.chosen(t); t.Instance != nil {
				tried = append(tried, t.Instance.ID)
			}
			return err
		})
	}
}

// unary makes a unary call: send is called for each attempt.
func unary(ctx context.Context, w *wrapper.Wrapper, service, method string, o options, callOpts []grpc.CallOption,
	send func(context.Context, *wrapper.Attempt, []grpc.CallOption, *authgrpc.Shown) error) error {
	if o.err != nil {
		return o.err
	}
	s := newClientCall(ctx, w, service, method)
	ctx, cancel := s.a.Bound(ctx, &s.call)
	defer cancel()
	if err := s.begin(ctx); err != nil {
		return s.refuse(err)
	}
	for n := 1; ; n++ {
		var header, trailer metadata.MD
		var to peer.Peer
		ctx, t := s.attempt(n)
		bounded, cancel := s.a.BoundAttempt(ctx, &s.call)
		withToken, shown := s.show(callOpts)
		withToken = append(withToken[:len(withToken):len(withToken)], grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&to))
		err := send(bounded, t, withToken, shown)
		cancel()
		t.Load = loadOf(trailer)
		s.ended(ctx, t, err, to.Addr != nil, answered(header, trailer))
		wait, again := s.a.Again(s.ctx, &s.call, t.Class, n, o.idempotent(method), pushback(trailer, err))
		if !again {
			return s.finish(err)
		}
		if err := backoff.Sleep(s.ctx, wait); err != nil {
			return s.finish(err)
		}
	}
}

// StreamClient puts w around the streams of a connection.
func StreamClient(w *wrapper.Wrapper, opts ...Option) grpc.StreamClientInterceptor {
	o := newOptions(opts)
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, callOpts ...grpc.CallOption) (grpc.ClientStream, error) {
		return stream(ctx, w, o.serviceOf(cc), method, o, desc, callOpts, func(ctx context.Context, t *wrapper.Attempt, callOpts ...grpc.CallOption) (grpc.ClientStream, done, error) {
			rt := &routing{call: t.Call}
			s, err := open(context.WithValue(ctx, routingKey{}, rt), desc, cc, method, callOpts...)
			rt.chosen(t)
			return s, func(ending) {}, err
		})
	}
}

// ending is how a stream ended.
type ending struct {
	err      error
	trailer  metadata.MD // nil if there was none
	answered bool
}

// done is told how a stream ended, once.
type done func(ending)

// stream opens a stream, once.
func stream(ctx context.Context, w *wrapper.Wrapper, service, method string, o options, desc *grpc.StreamDesc, callOpts []grpc.CallOption,
	open func(context.Context, *wrapper.Attempt, ...grpc.CallOption) (grpc.ClientStream, done, error)) (grpc.ClientStream, error) {
	if o.err != nil {
		return nil, o.err
	}
	s := newClientCall(ctx, w, service, method)
	cancel := func() {}
	if _, bounded := ctx.Deadline(); !bounded && o.streamTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.streamTimeout)
	}
	if err := s.begin(ctx); err != nil {
		cancel()
		return nil, s.refuse(err)
	}
	ctx, t := s.attempt(1)
	var finished atomic.Pointer[error] // how gRPC saw it end
	callOpts, shown := s.show(callOpts)
	inner, done, err := open(ctx, t, append(callOpts[:len(callOpts):len(callOpts)], grpc.OnFinish(func(err error) { finished.Store(&err) }))...)
	if err != nil {
		cancel()
		s.ended(ctx, t, err, true, false)
		return nil, s.finish(err)
	}
	c := &clientStream{ClientStream: inner, desc: desc, end: func(e ending) {
		e.answered = e.answered || answered(nil, e.trailer)
		done(e)
		t.Load = loadOf(e.trailer)
		if shown != nil {
			shown.Answered(e.trailer)
		}
		s.ended(ctx, t, e.err, true, e.answered)
		s.finish(e.err)
		cancel()
	}}
	// A stream that nobody reads to its end is over with its context. That of
	// one that was read ends too, maybe before the last RecvMsg has returned.
	c.stop = context.AfterFunc(inner.Context(), func() {
		if err := finished.Load(); err != nil {
			header, _ := inner.Header() // it is over: this doesn't wait
			c.over(ending{*err, inner.Trailer(), answered(header, nil)})
		} else {
			c.over(ending{err: context.Cause(inner.Context())})
		}
	})
	return c, nil
}

// clientCall is one call that goes out.
type clientCall struct {
	w     *wrapper.Wrapper
	a     wrapper.Adapter
	call  wrapper.Call
	ctx   context.Context
	md    metadata.MD
	class router.Class // of the newest attempt
	token *auth.Token  // to show; nil for none
}

func newClientCall(ctx context.Context, w *wrapper.Wrapper, service, method string) *clientCall {
	s := &clientCall{w: w, a: w.Adapter()}
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok {
		md = metadata.MD{}
	}
	s.md = md
	carrier := trace.Metadata(s.md)
	id := carrier.Get(wrapper.HeaderRequestID)
	if parent, ok := wrapper.FromContext(ctx); ok && id == "" {
		id = parent.RequestID
	}
	s.call = wrapper.Call{
		Side: wrapper.Client, Protocol: "grpc", Service: service, Method: method, Action: method, Resource: method,
		RequestID: s.a.RequestID(id), Header: carrier, Start: time.Now(),
	}
	carrier.Set(wrapper.HeaderRequestID, s.call.RequestID)
	s.a.Carry(ctx, carrier)
	return s
}

// begin begins the call, and finds the token that it shows.
func (s *clientCall) begin(ctx context.Context) error {
	ctx, err := s.w.Begin(ctx, &s.call)
	s.ctx = ctx
	s.a.Called(&s.call)
	if err != nil {
		return limited(err)
	}
	if len(s.md.Get("authorization")) > 0 {
		return nil
	}
	s.token, err = s.a.Token(s.ctx, s.call.Service)
	return err
}

// attempt begins the nth attempt.
func (s *clientCall) attempt(n int) (context.Context, *wrapper.Attempt) {
	s.call.Attempts = n
	md := s.md.Copy()
	t := &wrapper.Attempt{Call: &s.call, Number: n, Header: trace.Metadata(md)}
	ctx := s.a.BeginAttempt(s.ctx, t)
	return metadata.NewOutgoingContext(ctx, md), t
}

// ended ends an attempt. One that never got a connection was not sent.
func (s *clientCall) ended(ctx context.Context, t *wrapper.Attempt, err error, connected, answered bool) {
	t.Class, t.Status, t.Err = classOf(err, answered), int(code(err)), err
	if t.Class == router.Connect && !connected {
		t.Class = router.Unsent
	}
	s.class = t.Class
	t.Latency = time.Since(s.call.Start)
	if t.Class == router.OK {
		s.a.Took(&s.call, t.Latency-t.Connecting)
	}
	s.a.EndAttempt(ctx, t)
}

// refuse records a call that was not sent, and returns its error.
func (s *clientCall) refuse(err error) error {
	s.class = router.Unsent
	if c := code(err); c != codes.Unavailable && c != codes.Unknown {
		s.class = wrapper.ClassOfCode(uint32(c))
	}
	return s.finish(err)
}

// finish records the call and returns its error.
func (s *clientCall) finish(err error) error {
	s.call.Duration = time.Since(s.call.Start)
	s.call.Class, s.call.Status = s.class, int(code(err))
	if c := code(err); c == codes.Canceled || c == codes.DeadlineExceeded { // also while it waited for the next attempt
		s.call.Class = wrapper.ClassOfCode(uint32(c))
	}
	if s.call.Class != router.OK {
		s.call.Err = err
	}
	s.w.End(s.ctx, &s.call)
	return err
}

// clientStream ends its call once.
type clientStream struct {
	grpc.ClientStream
	desc *grpc.StreamDesc
	once sync.Once
	end  done
	stop func() bool
}

// over ends the call. io.EOF and nil are a good end.
func (c *clientStream) over(e ending) {
	if e.err == io.EOF {
		e.err = nil
	}
	c.once.Do(func() { c.end(e) })
}

func (c *clientStream) RecvMsg(m any) error {
	err := c.ClientStream.RecvMsg(m)
	if err != nil || !c.desc.ServerStreams { // one that answers once is over then
		header, _ := c.ClientStream.Header() // it is over: this doesn't wait
		c.over(ending{err, c.ClientStream.Trailer(), answered(header, nil)})
		c.stop()
	}
	return err
}

func (c *clientStream) SendMsg(m any) error {
	err := c.ClientStream.SendMsg(m)
	if err != nil && err != io.EOF { // at io.EOF RecvMsg has the status
		c.over(ending{err: err})
	}
	return err
}

func (c *clientStream) Header() (metadata.MD, error) {
	md, err := c.ClientStream.Header()
	if err != nil {
		c.over(ending{err: err})
	}
	return md, err
}
