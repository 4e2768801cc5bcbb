package kafka

import (
	"context"
	"errors"
	"net"

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

func is(err error, any ...error) bool {
	for _, target := range any {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func kind(err error, write bool) error {
	switch fault.KindOf(err) {
	case nil, context.Canceled, context.DeadlineExceeded:
	default: // said already, also of what a context has ended before it was sent
		return err
	}
	var answer *kerr.Error
	var dial *net.OpError
	switch {
	case is(err, refusals...):
		return fault.Mark(fault.Denied, err)
	case is(err, kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return fault.Mark(fault.TooLarge, err)
	case is(err, kgo.ErrClientClosed):
		return fault.Mark(fault.Unavailable, err)
	case errors.As(err, &answer):
		switch {
		case write && is(err, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend):
			return fault.Mark(fault.UnknownOutcome, err)
		case answer.Retriable:
			return fault.Mark(fault.Unavailable, err)
		}
		return err
	case errors.As(err, &dial) && dial.Op == "dial":
		return fault.Mark(fault.Unavailable, err)
	case write:
		return fault.Mark(fault.UnknownOutcome, err)
	case is(err, context.Canceled, context.DeadlineExceeded):
		return err
	}
	return fault.Mark(fault.Unavailable, err)
}
