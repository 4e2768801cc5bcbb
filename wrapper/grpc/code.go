package grpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// classOf is the class of a call's error. answered says whether the server
// answered: what gRPC itself says for a connection that failed has the codes
// that an application uses for itself.
func classOf(err error, answered bool) router.Class {
	if err == nil || err == io.EOF {
		return router.OK
	}
	c := code(err)
	switch {
	case c == codes.Unavailable && !answered:
		return router.Connect
	case c == codes.ResourceExhausted && !answered: // a message that is too large to be sent
		return router.ClientError
	}
	return wrapper.ClassOfCode(uint32(c))
}

// answered reports whether a server said anything: its headers, or the trailers
// that are all of its answer, have a content type.
func answered(header, trailer metadata.MD) bool {
	return len(header["content-type"]) > 0 || len(trailer["content-type"]) > 0
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
	switch wrapper.StatusOf(err) {
	case http.StatusUnauthorized:
		return status.Error(codes.Unauthenticated, "not authenticated")
	case http.StatusForbidden:
		return status.Error(codes.PermissionDenied, "denied")
	case http.StatusTooManyRequests:
		return tooMany(err)
	case http.StatusServiceUnavailable:
		return status.Error(codes.Unavailable, "try again later")
	case http.StatusGatewayTimeout:
		return status.Error(codes.DeadlineExceeded, "deadline exceeded")
	}
	return status.Error(codes.Internal, "internal error")
}

// tooMany is the refusal of a limiter, with RetryInfo if it says when to come back.
func tooMany(err error) error {
	s := status.New(codes.ResourceExhausted, "too many calls")
	if after, ok := later(err); ok {
		with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
		if err == nil {
			s = with
		}
	}
	return s.Err()
}

// later is when a limiter that refused wants the call again, rounded up to
// milliseconds; false if it doesn't say.
func later(err error) (time.Duration, bool) {
	var limit interface{ RetryAfter() time.Duration }
	if !errors.As(err, &limit) || limit.RetryAfter() <= 0 {
		return 0, false
	}
	return (limit.RetryAfter() + time.Millisecond - 1).Truncate(time.Millisecond), true
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

// limited is the error of a call that the limit of a policy kept back.
func limited(err error) error {
	if errors.Is(err, router.ErrLimited) {
		return exhausted{err}
	}
	return err
}

type exhausted struct{ error }

func (e exhausted) Unwrap() error { return e.error }

// GRPCStatus makes status.Code see it.
func (e exhausted) GRPCStatus() *status.Status { return status.New(codes.ResourceExhausted, e.Error()) }

const pushbackKey = "grpc-retry-pushback-ms"

// pushback reads grpc-retry-pushback-ms: when to come back, or below 0 not to
// (gRFC A6). Without it the status may say so in RetryInfo.
func pushback(trailer metadata.MD, err error) time.Duration {
	v := trailer.Get(pushbackKey)
	if len(v) == 0 {
		return retryInfo(err)
	}
	ms, err := strconv.ParseInt(v[0], 10, 32)
	if err != nil || ms < 0 {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}

func retryInfo(err error) time.Duration {
	if err == nil {
		return 0
	}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return max(info.GetRetryDelay().AsDuration(), 0)
		}
	}
	return 0
}
