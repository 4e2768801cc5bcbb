// Package grpc lets only those calls through to a gRPC server that an auth.Auth
// authorizes, and adds a token to a client's calls.
//
//	srv := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(authgrpc.Unary(au)),
//		grpc.ChainStreamInterceptor(authgrpc.Stream(au)))
//	conn, err := grpc.NewClient(addr, grpc.WithPerRPCCredentials(authgrpc.Credentials(au, auth.Destination{Audience: "greeter"})), …)
//
// # Semantics
//
// The credential is the token of the "authorization" metadata, the proof of
// possession of "dpop" (RFC 9449: for a POST to the URL of the method), and the
// client certificates of the connection. What a call asks for has the full
// method as its Action, "/helloworld.Greeter/SayHello", and no Resource. What
// is not a service and a method is Unimplemented before anybody is asked. A
// stream is authorized once, when it opens. Handlers find the caller with
// auth.FromContext.
//
// # Errors
//
// Unauthenticated, PermissionDenied and Unavailable, with no more to say: what
// was wrong with a token is not for those who show it.
//
// # Closing
//
// There is nothing to close; the auth.Auth stays open.
package grpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option changes Unary and Stream.
type Option func(*gate) error

type gate struct {
	auth    auth.Auth
	service string
	skip    func(method string) bool
	request func(ctx context.Context, method string) auth.Request
	err     error // of an option: every call is refused with it
}

// WithService sets the Service of what is asked for.
func WithService(name string) Option {
	return func(g *gate) error { g.service = name; return nil }
}

// WithoutAuth lets the calls through of the full methods for which f is true:
// health checks, reflection.
func WithoutAuth(f func(method string) bool) Option {
	return func(g *gate) error { g.skip = f; return fronts.Given(f, "WithoutAuth") }
}

// WithRequest sets what a call asks for.
func WithRequest(f func(ctx context.Context, method string) auth.Request) Option {
	return func(g *gate) error { g.request = f; return fronts.Given(f, "WithRequest") }
}

func newGate(a auth.Auth, opts []Option) *gate {
	g := &gate{auth: a}
	err := fronts.Apply(g, opts)
	if err != nil {
		g.err = fault.Wrap("auth/grpc", "interceptor", "", fault.Mark(auth.ErrInvalid, err))
	}
	if g.request == nil {
		g.request = func(_ context.Context, method string) auth.Request {
			return auth.Request{Service: g.service, Action: method}
		}
	}
	return g
}

// Unary returns a server interceptor for calls with one request and one answer.
func Unary(a auth.Auth, opts ...Option) grpc.UnaryServerInterceptor {
	g := newGate(a, opts)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := g.enter(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// Stream returns a server interceptor for streams.
func Stream(a auth.Auth, opts ...Option) grpc.StreamServerInterceptor {
	g := newGate(a, opts)
	return func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := g.enter(s.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		return next(srv, &stream{s, ctx})
	}
}

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }

func (g *gate) enter(ctx context.Context, method string) (context.Context, error) {
	if g.err != nil {
		return nil, status.Error(codes.Internal, g.err.Error())
	}
	if err := authdriver.CheckFullMethod(method); err != nil {
		return nil, Error(err)
	}
	if g.skip != nil && g.skip(method) {
		return ctx, nil
	}
	c, ok, bad := CredentialFromContext(ctx)
	if bad != nil {
		ctx = auth.ContextWithCredential(ctx, auth.Credential{Err: bad})
	} else if ok {
		ctx = auth.ContextWithCredential(ctx, c)
	}
	t, err := g.auth.Authorized(ctx, g.request(ctx, method))
	err = cmp.Or(err, bad)
	grpc.SetTrailer(ctx, Answer(g.auth, c.Scheme, err))
	if err != nil {
		return nil, Error(err)
	}
	return auth.ContextWithToken(ctx, t), nil
}

// CredentialFromContext reads what a call shows from the context of a server's
// handler. ok is false if it shows nothing.
func CredentialFromContext(ctx context.Context) (c auth.Credential, ok bool, err error) {
	if p, there := peer.FromContext(ctx); there {
		if info, secure := p.AuthInfo.(credentials.TLSInfo); secure && len(info.State.PeerCertificates) > 0 {
			c.TLS, ok = &info.State, true
		}
	}
	switch values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) {
	case 0:
		return c, ok, nil
	case 1:
		c.Scheme, c.Value, err = auth.ParseAuthorization(values[0])
		if err == nil && c.Scheme == "DPoP" {
			c.Proof, err = proofOf(ctx)
		}
		return c, err == nil, err
	}
	return c, false, fmt.Errorf("%w: more than one authorization", auth.ErrUnauthenticated)
}

// Error translates an error of Authorized into what a gRPC caller may know.
func Error(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, auth.ErrPath):
		return status.Error(codes.Unimplemented, "malformed method name")
	case errors.Is(err, auth.ErrUnavailable):
	case errors.Is(err, auth.ErrUnauthenticated):
		return status.Error(codes.Unauthenticated, "not authenticated")
	case errors.Is(err, auth.ErrDenied):
		return status.Error(codes.PermissionDenied, "denied")
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "canceled")
	}
	return status.Error(codes.Unavailable, "authority unavailable")
}
