package grpc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// CredentialsOption changes Credentials.
type CredentialsOption func(*perRPC) error

// WithInsecure allows connections without TLS: tokens then go over the network
// in clear.
func WithInsecure() CredentialsOption {
	return func(p *perRPC) error { p.insecure = true; return nil }
}

// Credentials adds a token to each call of a connection. With an empty
// Audience the token is for the host of the connection's authority. A token
// that is bound to a key goes with a proof (RFC 9449). For services that want a
// nonce in proofs, use DialOptions.
func Credentials(a auth.Auth, d auth.Destination, opts ...CredentialsOption) credentials.PerRPCCredentials {
	return newPerRPC(a, d, opts)
}

func newPerRPC(a auth.Auth, d auth.Destination, opts []CredentialsOption) *perRPC {
	p := &perRPC{auth: a, destination: d, presenter: auth.NewPresenter(a)}
	err := fronts.Apply(p, opts)
	if err != nil {
		p.err = fault.Wrap("auth/grpc", "credentials", "", fault.Mark(auth.ErrInvalid, err))
	}
	return p
}

// DialOptions is Credentials for connections, and learns the nonces that the
// service wants in proofs (auth.WithNonces): a unary call that was refused for
// the lack of one is made once more. A stream is not, but its nonce is there for
// the next call.
func DialOptions(a auth.Auth, d auth.Destination, opts ...CredentialsOption) []grpc.DialOption {
	p := newPerRPC(a, d, opts)
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(p.unary), grpc.WithChainStreamInterceptor(p.stream)}
}

type perRPC struct {
	auth        auth.Auth
	presenter   *auth.Presenter
	destination auth.Destination
	insecure    bool
	err         error // of an option: every call returns it
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (p *perRPC) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	return p.show(ctx, uri, &Shown{presenter: p.presenter})
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (p *perRPC) RequireTransportSecurity() bool { return !p.insecure }

func (p *perRPC) show(ctx context.Context, uri []string, s *Shown) (map[string]string, error) {
	if p.err != nil {
		return nil, status.Error(codes.Internal, p.err.Error())
	}
	d := p.destination
	if d.Audience == "" && len(uri) > 0 {
		u, err := url.Parse(uri[0])
		if err == nil {
			d.Audience = u.Hostname()
		}
	}
	t, err := auth.Outgoing(ctx, p.auth, d)
	if err != nil {
		return nil, Error(err)
	}
	s.token = t
	return s.GetRequestMetadata(ctx, uri...)
}

// call is the credentials of one call.
type call struct {
	*perRPC
	shown Shown
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c *call) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	return c.show(ctx, uri, &c.shown)
}

func (p *perRPC) call() *call { return &call{p, Shown{presenter: p.presenter}} }

func (p *perRPC) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	c := p.call()
	return c.shown.Call(func(more ...grpc.CallOption) error {
		return invoke(ctx, method, req, reply, cc, append(opts[:len(opts):len(opts)], append(more, grpc.PerRPCCredentials(c))...)...)
	})
}

func (p *perRPC) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	c, trailer := p.call(), &metadata.MD{}
	return open(ctx, desc, cc, method, append(opts[:len(opts):len(opts)], grpc.PerRPCCredentials(c), grpc.Trailer(trailer),
		grpc.OnFinish(func(error) { c.shown.Answered(*trailer) }))...)
}

// Shown is the credentials of one call with a token that is given: for clients
// that find their tokens elsewhere, such as package wrapper/grpc. Each time that
// gRPC sends the call there is a new proof. It allows connections without TLS.
type Shown struct {
	presenter *auth.Presenter
	token     *auth.Token

	mu   sync.Mutex
	last auth.Presentation
}

// Show returns the credentials of a call that shows t.
func Show(p *auth.Presenter, t *auth.Token) *Shown { return &Shown{presenter: p, token: t} }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (s *Shown) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	host := ""
	if len(uri) > 0 {
		_, host, _ = strings.Cut(uri[0], "://")
		host, _, _ = strings.Cut(host, "/")
	}
	shown, err := s.presenter.Present(s.token, http.MethodPost, schemeOf(info.AuthInfo)+"://"+host+info.Method)
	if err != nil {
		return nil, Error(err)
	}
	s.mu.Lock()
	s.last = shown
	s.mu.Unlock()
	md := map[string]string{"authorization": string(shown.Authorization)}
	if shown.Proof != "" {
		md[proofKey] = string(shown.Proof)
	}
	return md, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (s *Shown) RequireTransportSecurity() bool { return false }

// Answered notes what the service answered in its trailers. again reports that
// it only wanted a nonce in the proof, and that the call may be made once more.
func (s *Shown) Answered(trailer metadata.MD) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.presenter.Answered(s.last, strings.Join(trailer.Get(nonceKey), ""), strings.Join(trailer.Get(challengeKey), ", "))
}

// Call makes a unary call, and once more if the service wants a nonce. invoke
// makes it with the options that it is given.
func (s *Shown) Call(invoke func(...grpc.CallOption) error) error {
	var trailer metadata.MD
	err := invoke(grpc.Trailer(&trailer))
	if s.Answered(trailer) && err != nil {
		err = invoke(grpc.Trailer(&trailer))
		s.Answered(trailer)
	}
	return err
}
