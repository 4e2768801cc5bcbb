package kafka

import (
	"context"
	"errors"
	"net"
	"slices"

	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ReadError gives the error of a request that changes nothing its kind.
func ReadError(err error) error { return kind(err, false) }

// WriteError gives the error of a request that changes something its kind:
// UnknownOutcome, unless the broker answered or was not reached.
func WriteError(err error) error { return kind(err, true) }

// refusals are what a broker says to a user who may not.
var refusals = []error{
	kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
	kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
}

// Code returns what a broker answered, as the error of it.
func Code(code int16) error { return kerr.ErrorForCode(code) }

// Is reports whether an error is any of some.
func Is(err error, any ...error) bool {
	return slices.ContainsFunc(any, func(target error) bool { return errors.Is(err, target) })
}

func kind(err error, write bool) error {
	switch fault.KindOf(err) {
	case nil, context.Canceled, context.DeadlineExceeded:
	default: // said already, also of what a context has ended before it was sent
		return err
	}
	answer, answered := errors.AsType[*kerr.Error](err)
	broken, ok := errors.AsType[*net.OpError](err)
	switch {
	case Is(err, refusals...):
		return fault.Mark(fault.Denied, err)
	case Is(err, kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return fault.Mark(fault.TooLarge, err)
	case Is(err, kgo.ErrClientClosed):
		return fault.Mark(fault.Unavailable, err)
	case answered:
		switch {
		case write && Is(err, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend):
			return fault.Mark(fault.UnknownOutcome, err)
		case answer.Retriable:
			return fault.Mark(fault.Unavailable, err)
		}
		return err
	case ok && broken.Op == "dial":
		return fault.Mark(fault.Unavailable, err)
	case write:
		return fault.Mark(fault.UnknownOutcome, err)
	case Is(err, context.Canceled, context.DeadlineExceeded):
		return err
	}
	return fault.Mark(fault.Unavailable, err)
}
