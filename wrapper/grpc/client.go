package grpc

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// Option configures the client side.
type Option func(*options)

type options struct {
	idempotent func(method string) bool
	service    string
}

// WithIdempotent tells which methods may be processed twice. The default is
// none of them.
func WithIdempotent(f func(method string) bool) Option {
	return func(o *options) { o.idempotent = f }
}

// WithService names the service that is called; the default is the target of
// the connection.
func WithService(name string) Option { return func(o *options) { o.service = name } }

// DialOptions puts w around all calls of a connection.
func DialOptions(w *wrapper.Wrapper, opts ...Option) []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(UnaryClient(w, opts...)), grpc.WithChainStreamInterceptor(StreamClient(w, opts...))}
}

func newOptions(opts []Option) options {
	o := options{idempotent: func(string) bool { return false }}
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	return o
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
		return unary(ctx, w, o.serviceOf(cc), method, o, callOpts, func(ctx context.Context, t *wrapper.Attempt, callOpts []grpc.CallOption) error {
			rt := &routing{tried: tried}
			err := invoke(context.WithValue(ctx, routingKey{}, rt), method, req, reply, cc, callOpts...)
			if rt.chosen(t); t.Instance != nil {
				tried = append(tried, t.Instance.ID)
			}
			return err
		})
	}
}

// unary makes a unary call: send is called for each attempt.
func unary(ctx context.Context, w *wrapper.Wrapper, service, method string, o options, callOpts []grpc.CallOption,
	send func(context.Context, *wrapper.Attempt, []grpc.CallOption) error) error {
	ctx, cancel := w.Adapter().Bound(ctx, wrapper.Client)
	defer cancel()
	s, err := newSent(ctx, w, service, method)
	if err != nil {
		return s.finish(err)
	}
	for n := 1; ; n++ {
		var trailer metadata.MD
		var to peer.Peer
		ctx, t := s.attempt(n)
		bounded, cancel := s.a.BoundAttempt(ctx)
		err := send(bounded, t, append(callOpts[:len(callOpts):len(callOpts)], grpc.Trailer(&trailer), grpc.Peer(&to)))
		cancel()
		t.Load = loadOf(trailer)
		s.ended(ctx, t, err, to.Addr != nil)
		wait, again := s.a.Again(s.ctx, &s.call, t.Class, n, o.idempotent(method), pushback(trailer))
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
		return stream(ctx, w, o.serviceOf(cc), method, desc, func(ctx context.Context, t *wrapper.Attempt, finish grpc.CallOption) (grpc.ClientStream, done, error) {
			rt := &routing{}
			s, err := open(context.WithValue(ctx, routingKey{}, rt), desc, cc, method, append(callOpts[:len(callOpts):len(callOpts)], finish)...)
			rt.chosen(t)
			return s, func(error, metadata.MD) {}, err
		})
	}
}

// done is told how a stream ended, once. The trailer is nil if there was none.
type done func(err error, trailer metadata.MD)

// stream opens a stream, once.
func stream(ctx context.Context, w *wrapper.Wrapper, service, method string, desc *grpc.StreamDesc,
	open func(context.Context, *wrapper.Attempt, grpc.CallOption) (grpc.ClientStream, done, error)) (grpc.ClientStream, error) {
	s, err := newSent(ctx, w, service, method)
	if err != nil {
		return nil, s.finish(err)
	}
	ctx, t := s.attempt(1)
	var finished atomic.Pointer[error] // how gRPC saw it end
	inner, done, err := open(ctx, t, grpc.OnFinish(func(err error) { finished.Store(&err) }))
	if err != nil {
		s.ended(ctx, t, err, true)
		return nil, s.finish(err)
	}
	c := &clientStream{ClientStream: inner, desc: desc, end: func(err error, trailer metadata.MD) {
		done(err, trailer)
		t.Load = loadOf(trailer)
		s.ended(ctx, t, err, true)
		s.finish(err)
	}}
	// A stream that nobody reads to its end is over with its context. That of
	// one that was read ends too, maybe before the last RecvMsg has returned.
	c.stop = context.AfterFunc(inner.Context(), func() {
		if err := finished.Load(); err != nil {
			c.over(*err, inner.Trailer())
		} else {
			c.over(context.Cause(inner.Context()), nil)
		}
	})
	return c, nil
}

// sent is one call that goes out.
type sent struct {
	w    *wrapper.Wrapper
	a    wrapper.Adapter
	call wrapper.Call
	ctx  context.Context
	md   metadata.MD
}

func newSent(ctx context.Context, w *wrapper.Wrapper, service, method string) (*sent, error) {
	s := &sent{w: w, a: w.Adapter()}
	md, _ := metadata.FromOutgoingContext(ctx)
	s.md = md.Copy()
	if s.md == nil {
		s.md = metadata.MD{}
	}
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
	for k, v := range wrapper.LabelsFromContext(ctx) {
		carrier.Set(wrapper.LabelPrefix+k, v)
	}
	s.ctx, _ = w.Begin(ctx, &s.call)
	s.a.Called(service)
	if len(s.md.Get("authorization")) > 0 {
		return s, nil
	}
	token, err := s.a.Token(s.ctx, service)
	if token != "" {
		carrier.Set("authorization", "Bearer "+token)
	}
	return s, err
}

// attempt begins the nth sending.
func (s *sent) attempt(n int) (context.Context, *wrapper.Attempt) {
	s.call.Attempts = n
	md := s.md.Copy()
	t := &wrapper.Attempt{Call: &s.call, Number: n, Header: trace.Metadata(md)}
	ctx := s.a.BeginAttempt(s.ctx, t)
	return metadata.NewOutgoingContext(ctx, md), t
}

// ended ends an attempt. One that never got a connection was not sent.
func (s *sent) ended(ctx context.Context, t *wrapper.Attempt, err error, connected bool) {
	t.Class, t.Status, t.Err = classOf(err), int(code(err)), err
	if t.Class == router.Connect && !connected {
		t.Class = router.Unsent
	}
	t.Latency = time.Since(s.call.Start)
	s.a.EndAttempt(ctx, t)
}

// finish records the call and returns its error.
func (s *sent) finish(err error) error {
	s.call.Duration = time.Since(s.call.Start)
	s.call.Class, s.call.Status = classOf(err), int(code(err))
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
func (c *clientStream) over(err error, trailer metadata.MD) {
	if err == io.EOF {
		err = nil
	}
	c.once.Do(func() { c.end(err, trailer) })
}

func (c *clientStream) RecvMsg(m any) error {
	err := c.ClientStream.RecvMsg(m)
	if err != nil || !c.desc.ServerStreams { // one that answers once is over then
		c.over(err, c.ClientStream.Trailer())
		c.stop()
	}
	return err
}

func (c *clientStream) SendMsg(m any) error {
	err := c.ClientStream.SendMsg(m)
	if err != nil && err != io.EOF { // at io.EOF RecvMsg has the status
		c.over(err, nil)
	}
	return err
}

func (c *clientStream) Header() (metadata.MD, error) {
	md, err := c.ClientStream.Header()
	if err != nil {
		c.over(err, nil)
	}
	return md, err
}
