package grpc

import (
	"context"
	"io"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/router"
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
		ctx, cancel := w.Adapter().Bound(ctx, wrapper.Server)
		defer cancel()
		s, ctx, err := begin(ctx, w, info.FullMethod, info.FullMethod)
		defer func() { err = s.finish(recover(), err) }()
		if err != nil {
			return nil, err
		}
		if load := w.Adapter().LoadReport(); load != "" {
			grpc.SetTrailer(ctx, metadata.Pairs(wrapper.HeaderLoad, load))
		}
		return next(ctx, req)
	}
}

// StreamServer puts w around the streams of a server.
func StreamServer(w *wrapper.Wrapper) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		name := info.FullMethod
		if srv == nil { // gRPC's UnknownServiceHandler: the caller chose it freely
			name = unknown
		}
		s, ctx, err := begin(stream.Context(), w, name, info.FullMethod)
		defer func() { err = s.finish(recover(), err) }()
		if err != nil {
			return err
		}
		defer func() { // as it is at the end
			if load := w.Adapter().LoadReport(); load != "" {
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
}

// unknown is the name of methods that a server doesn't have.
const unknown = "_unknown"

func begin(ctx context.Context, w *wrapper.Wrapper, method, action string) (*served, context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	a, s := w.Adapter(), &served{w: w}
	carrier := trace.Metadata(md)
	s.call = wrapper.Call{
		Side: wrapper.Server, Protocol: "grpc", Service: a.Name(), Method: method, Action: action,
		RequestID: a.RequestID(carrier.Get(wrapper.HeaderRequestID)), Header: carrier, Start: time.Now(),
	}
	if labels := a.Labels(md); labels != nil {
		ctx = wrapper.ContextWithLabels(ctx, labels)
	}
	ctx, err := w.Begin(a.Context(ctx, &s.call), &s.call)
	s.ctx = ctx
	if err != nil {
		s.call.Err = err
		return s, ctx, refusal(err)
	}
	return s, ctx, nil
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
	s.call.Class, s.call.Status = classOf(err), int(code(err))
	if s.call.Err == nil {
		s.call.Err = err
	}
	if s.call.Class == router.Connect { // the handler's own dependency, or its refusal of work
		s.call.Class = router.Overload
	}
	s.w.End(s.ctx, &s.call)
	return err
}
