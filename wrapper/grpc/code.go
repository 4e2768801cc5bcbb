package grpc

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
)

// classOf is the class of a call's error.
func classOf(err error) router.Class {
	if err == nil || err == io.EOF {
		return router.OK
	}
	switch code(err) {
	case codes.OK:
		return router.OK
	case codes.Canceled:
		return router.Cancelled
	case codes.DeadlineExceeded:
		return router.Timeout
	case codes.ResourceExhausted:
		return router.Overload
	case codes.Unavailable:
		return router.Connect
	case codes.Unknown, codes.Internal, codes.DataLoss, codes.Unimplemented:
		return router.ServerError
	}
	return router.ClientError
}

// code is status.Code, but also knows plain context errors.
func code(err error) codes.Code {
	switch {
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	}
	return status.Code(err)
}

// refusal is what a caller sees of a gate's error: the kind, and nothing that
// would help an attacker.
func refusal(err error) error {
	if errors.Is(err, auth.ErrPath) {
		return status.Error(codes.Unimplemented, "malformed method name")
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		return status.Error(codes.Unauthenticated, "not authenticated")
	case fault.Denied:
		return status.Error(codes.PermissionDenied, "denied")
	case fault.Exhausted:
		return status.Error(codes.ResourceExhausted, "too many calls")
	case fault.Unavailable, fault.Closed, fault.Timeout:
		return status.Error(codes.Unavailable, "try again later")
	}
	return status.Error(codes.Internal, "internal error")
}

// unavailable is an error of the router, as gRPC users expect one.
type unavailable struct{ error }

func (u unavailable) Unwrap() error { return u.error }

// GRPCStatus makes status.Code see it.
func (u unavailable) GRPCStatus() *status.Status {
	c := codes.Unavailable
	switch {
	case errors.Is(u.error, context.Canceled):
		c = codes.Canceled
	case errors.Is(u.error, context.DeadlineExceeded): // while the router waited for its first instances
		c = codes.DeadlineExceeded
	}
	return status.New(c, u.Error())
}

// pushback reads grpc-retry-pushback-ms: when to come back, or below 0 not to
// (gRFC A6).
func pushback(trailer metadata.MD) time.Duration {
	v := trailer.Get("grpc-retry-pushback-ms")
	if len(v) == 0 {
		return 0
	}
	ms, err := strconv.ParseInt(v[0], 10, 32)
	if err != nil || ms < 0 {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}
