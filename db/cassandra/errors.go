package cassandra

import (
	"context"
	"errors"
	"net"
	"strings"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/internal/fault"
)

// readError gives the error of a statement its kind, for one that changes no
// record.
func readError(err error) error { return kind(err, false) }

// writeError gives the error of a statement that decides a write its kind:
// UnknownOutcome, unless the server answered that it did not do it, or was not
// reached.
func writeError(err error) error { return kind(err, true) }

func kind(err error, write bool) error {
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if err == nil || fault.KindOf(err) != nil && !ended {
		return err
	}
	unsure := fault.Unavailable
	if write {
		unsure = fault.UnknownOutcome
	}
	var answer gocql.RequestError
	if errors.As(err, &answer) {
		switch answer.Code() {
		case gocql.ErrCodeUnavailable, gocql.ErrCodeOverloaded, gocql.ErrCodeBootstrapping:
			return fault.Mark(fault.Unavailable, err)
		case gocql.ErrCodeSyntax, gocql.ErrCodeConfig, gocql.ErrCodeAlreadyExists, gocql.ErrCodeUnprepared, gocql.ErrCodeProtocol:
			return err
		case gocql.ErrCodeUnauthorized, gocql.ErrCodeCredentials:
			return fault.Mark(fault.Denied, err)
		case gocql.ErrCodeInvalid:
			if tooLarge(err) {
				return fault.Mark(fault.TooLarge, err)
			}
			return err
		case gocql.ErrCodeServer:
			if tooLarge(err) {
				return fault.Mark(fault.TooLarge, err)
			}
		}
		return fault.Mark(unsure, err)
	}
	var op *net.OpError
	switch {
	case errors.Is(err, gocql.ErrNoConnections), errors.Is(err, gocql.ErrNoConnectionsStarted), errors.Is(err, gocql.ErrNoStreams),
		errors.Is(err, gocql.ErrSessionClosed), errors.As(err, &op) && op.Op == "dial":
		return fault.Mark(fault.Unavailable, err)
	case errors.Is(err, gocql.ErrFrameTooBig):
		return fault.Mark(fault.TooLarge, err)
	case ended && !write:
		return err
	}
	return fault.Mark(unsure, err)
}

// tooLarge reports whether Cassandra refused a record for its size, which it
// says in words only.
func tooLarge(err error) bool {
	s := err.Error()
	return strings.Contains(s, "too large") || strings.Contains(s, "oversized") || strings.Contains(s, "exceeds allowed maximum")
}

// refused reports whether no session was made because of the credentials, of which
// the driver keeps the words alone.
func refused(err error) bool {
	s := err.Error()
	return errors.Is(err, fault.Denied) || strings.Contains(s, "authentication required") || strings.Contains(s, "password are incorrect")
}

// missing reports whether a keyspace or a table isn't there, which Cassandra
// says in words too.
func missing(err error) bool {
	var answer gocql.RequestError
	if !errors.As(err, &answer) || answer.Code() != gocql.ErrCodeInvalid && answer.Code() != gocql.ErrCodeConfig {
		return false
	}
	s := strings.ToLower(err.Error())
	return strings.Contains(s, "does not exist") || strings.Contains(s, "unconfigured table") || strings.Contains(s, "doesn't exist")
}

// answered reports whether another node would say the same.
func answered(err error) bool {
	var answer gocql.RequestError
	return errors.As(err, &answer) && answer.Code() != gocql.ErrCodeOverloaded && answer.Code() != gocql.ErrCodeBootstrapping
}
