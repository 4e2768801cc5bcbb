package grpc

import (
	"context"
	"maps"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	authgrpc "github.com/micro/go-platform/auth/grpc"
)

// show adds the credentials of one attempt to the options of a call.
func (s *clientCall) show(opts []grpc.CallOption) ([]grpc.CallOption, *authgrpc.Shown) {
	if s.token == nil {
		return opts, nil
	}
	shown := authgrpc.Show(s.a.Presenter(), s.token)
	own := credentials.PerRPCCredentials(shown)
	for _, o := range opts {
		given, ok := o.(grpc.PerRPCCredsCallOption)
		if ok && given.Creds != nil {
			own = both{given.Creds, shown}
		}
	}
	return append(opts[:len(opts):len(opts)], grpc.PerRPCCredentials(own)), shown
}

// both shows what the caller's own credentials do, beside ours: gRPC knows one
// of a call. An authorization of the caller's own is the only one.
type both struct {
	credentials.PerRPCCredentials
	shown *authgrpc.Shown
}

func (b both) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	own, err := b.PerRPCCredentials.GetRequestMetadata(ctx, uri...)
	if err != nil {
		return nil, err
	}
	for name := range own {
		if strings.EqualFold(name, "authorization") {
			return own, nil
		}
	}
	md, err := b.shown.GetRequestMetadata(ctx, uri...)
	if err != nil {
		return nil, err
	}
	maps.Copy(md, own)
	return md, nil
}

// again makes a unary call, and once more, as part of the same attempt, if the
// service only wants a nonce in the proof of possession.
func again(shown *authgrpc.Shown, opts []grpc.CallOption, invoke func([]grpc.CallOption) error) error {
	if shown == nil {
		return invoke(opts)
	}
	return shown.Call(func(more ...grpc.CallOption) error {
		return invoke(append(opts[:len(opts):len(opts)], more...))
	})
}
