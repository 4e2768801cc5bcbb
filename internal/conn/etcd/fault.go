package etcd

import (
	"errors"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Fault gives an error of the client its kind. write says that the call would
// have changed something: then an error after which nobody knows whether it
// did is fault.UnknownOutcome. A read that its context ended keeps the plain
// context error. Fault of nil is nil.
func Fault(err error, write bool) error {
	if err == nil || fault.KindOf(err) != nil && !conn.IsContext(err) {
		return err
	}
	switch {
	case strings.Contains(err.Error(), closing): // under who still uses it
		return fault.Markf(fault.Unavailable, "the connection to etcd was closed: %w", err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrGRPCRequestTooLarge):
		return fault.Mark(fault.TooLarge, err)
	case denied(err):
		return fault.Mark(fault.Denied, err)
	case errors.Is(err, rpctypes.ErrInvalidAuthToken), errors.Is(err, rpctypes.ErrAuthOldRevision):
		return fault.Mark(fault.Unavailable, err) // refused; the client logs in again
	case errors.Is(err, rpctypes.ErrEmptyKey), errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrDuplicateKey):
		return fault.Mark(fault.Invalid, err)
	case errors.Is(err, rpctypes.ErrNoSpace), errors.Is(err, rpctypes.ErrTooManyRequests), errors.Is(err, rpctypes.ErrNoLeader):
		return fault.Mark(fault.Unavailable, err) // refused before it was proposed
	}
	unsent := neverSent(err)
	if conn.IsContext(err) && (!write || unsent) {
		return err
	}
	if write && !unsent {
		switch code(err) {
		case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.OutOfRange, codes.AlreadyExists, codes.Unimplemented:
			return err // the server's refusal: the caller knows what it asked
		case codes.ResourceExhausted:
			return fault.Mark(fault.TooLarge, err) // the message limit of gRPC, on this side
		}
		return fault.Mark(fault.UnknownOutcome, err)
	}
	switch code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.Unknown, codes.Internal:
		return fault.Mark(fault.Unavailable, conn.HungUp(err))
	}
	return err
}

// denied reports that the server refuses the user or lacks a right of its. Of a
// watch that was refused the client has the words alone.
func denied(err error) bool {
	return slices.ContainsFunc([]error{
		rpctypes.ErrPermissionDenied, rpctypes.ErrPermissionNotGranted, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound,
	}, func(refusal error) bool { return errors.Is(err, refusal) }) ||
		strings.Contains(err.Error(), rpctypes.ErrPermissionDenied.Error())
}

// code is the gRPC status code of an error of the etcd client, which has types
// of its own for the server's errors.
func code(err error) codes.Code {
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e.Code()
	}
	return status.Code(err)
}

// closing is what gRPC says of a call on a connection that was closed before.
const closing = "grpc: the client connection is closing"

// neverSent reports whether the request certainly never left this process.
// gRPC says so only in words: those of its picker when no connection is ready.
// An unknown wording counts as sent, which is the safe side.
func neverSent(err error) bool {
	text := err.Error()
	return slices.ContainsFunc([]string{
		"Error while dialing",                     // the last attempt to connect failed
		"waiting for connections to become ready", // the context ended before one was ready
		"latest balancer error",                   // likewise
		"no children to pick from",                // no member resolved
		"there is no address available",           // likewise, in older words
		"authentication handshake failed",         // TLS refused
		closing,                                   // closed before the call
		"received context error while waiting for new LB policy update",
	}, func(words string) bool { return strings.Contains(text, words) })
}
