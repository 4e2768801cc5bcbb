package grpc

import (
	"context"
	"io"
	"runtime/debug"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	authgrpc "github.com/micro/go-platform/auth/grpc"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// ServerOptions puts w around all calls of a server.
func ServerOptions(w *wrapper.Wrapper) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(UnaryServer(w)), grpc.ChainStreamInterceptor(StreamServer(w))}
}

// UnaryServer puts w around the unary calls of a server.
func UnaryServer(w *wrapper.Wrapper) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		s := newServed(ctx, w, info.FullMethod, info.FullMethod)
		ctx, cancel := w.Adapter().Bound(ctx, &s.call)
		defer cancel()
		ctx, err = s.begin(ctx)
		defer func() { err = s.finish(recover(), err) }()
		if err != nil {
			return nil, err
		}
		if load := w.Adapter().LoadReport(&s.call); load != "" {
			grpc.SetTrailer(ctx, metadata.Pairs(wrapper.HeaderLoad, load))
		}
		resp, err = next(ctx, req)
		if err == nil && ctx.Err() == context.DeadlineExceeded { // nobody waits for it any more
			s.call.Late = true
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		return resp, err
	}
}

// StreamServer puts w around the streams of a server.
func StreamServer(w *wrapper.Wrapper) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		name := info.FullMethod
		if srv == nil { // gRPC's UnknownServiceHandler: the caller chose it freely
			name = unknown
		}
		s := newServed(stream.Context(), w, name, info.FullMethod)
		if end, ok := stream.Context().Deadline(); ok {
			w.Adapter().Brought(&s.call, end)
		}
		ctx, err := s.begin(stream.Context())
		defer func() { err = s.finish(recover(), err) }()
		if err != nil {
			return err
		}
		defer func() { // as it is at the end
			if load := w.Adapter().LoadReport(&s.call); load != "" {
				stream.SetTrailer(metadata.Pairs(wrapper.HeaderLoad, load))
			}
		}()
		return next(srv, &serverStream{stream, ctx})
	}
}

type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

// served is one call that came in.
type served struct {
	w    *wrapper.Wrapper
	call wrapper.Call
	ctx  context.Context
	md   metadata.MD // what counts of the caller's
}

// unknown is the name of methods that a server doesn't have.
const unknown = "_OTHER"

func newServed(ctx context.Context, w *wrapper.Wrapper, method, action string) *served {
	md, _ := metadata.FromIncomingContext(ctx)
	a, s := w.Adapter(), &served{w: w}
	s.call = wrapper.Call{Side: wrapper.Server, Protocol: "grpc", Service: a.Name(), Method: method, Action: action, Header: trace.Metadata(md), Start: time.Now()}
	if from, ok := peer.FromContext(ctx); ok {
		s.call.Peer = from.Addr
	}
	s.md = a.Border(ctx, &s.call, md)
	s.call.Header = trace.Metadata(s.md)
	s.call.RequestID = a.RequestID(s.call.Header.Get(wrapper.HeaderRequestID))
	return s
}

// begin begins the call. Its error is what the caller sees.
func (s *served) begin(ctx context.Context) (context.Context, error) {
	a := s.w.Adapter()
	if a.Stranger(&s.call) {
		ctx = metadata.NewIncomingContext(ctx, s.md)
	}
	shown, ok, bad := authgrpc.CredentialFromContext(ctx)
	a.Shown(&s.call, shown, ok, bad)
	if labels := a.Labels(s.md); labels != nil {
		ctx = wrapper.ContextWithLabels(ctx, labels)
	}
	ctx, err := s.w.Begin(a.Context(ctx, &s.call), &s.call)
	s.ctx = ctx
	if shown.Proof != nil {
		grpc.SetTrailer(ctx, authgrpc.Answer(a.Auth(), shown.Scheme, err))
	}
	if err != nil {
		s.call.Err = err
		if after, ok := later(err); ok {
			grpc.SetTrailer(ctx, metadata.Pairs(pushbackKey, strconv.FormatInt(after.Milliseconds(), 10)))
		}
		return ctx, refusal(err)
	}
	return ctx, nil
}

// finish records the call and returns the error that the caller gets.
func (s *served) finish(panicked any, err error) error {
	if panicked != nil {
		s.call.Panic, s.call.Stack = panicked, debug.Stack()
		err = status.Error(codes.Internal, "internal error")
	}
	if err == io.EOF {
		err = nil
	}
	s.call.Duration = time.Since(s.call.Start)
	s.call.Class, s.call.Status = classOf(err, true), int(code(err))
	if s.call.Err == nil {
		s.call.Err = err
	}
	s.w.End(s.ctx, &s.call)
	return err
}
