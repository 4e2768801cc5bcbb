package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// refused reports whether the server said that this user may not.
func refused(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return errors.Is(err, amqp.ErrSASL) || ok && (e.Code == amqp.AccessRefused || e.Code == amqp.NotAllowed)
}

// dialError says where a connection was to lead, and gives its error a kind.
func dialError(addr string, secure bool, err error) error {
	switch {
	case refused(err):
		return fault.Markf(fault.Denied, "%s refuses: %w", addr, err)
	case !secure && local(err, amqp.FrameError): // an alert of TLS, for one
		err = fmt.Errorf("the answer is not AMQP: does the port expect TLS? %w", err)
	case !secure:
		err = conn.HungUp(err)
	}
	return fault.Mark(fault.Unavailable, fmt.Errorf("connecting to %s: %w", addr, err))
}

// local reports whether the client ended the connection with a code.
func local(err error, code int) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && !e.Server && e.Code == code
}

// Is reports whether the server answered with a code, such as amqp.NotFound.
func Is(err error, code int) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Server && e.Code == code
}

// Missing reports whether the server says that a queue isn't there. One whose node
// is down is there.
func Missing(err error) bool {
	return Is(err, amqp.NotFound) && !strings.Contains(err.Error(), "down or inaccessible")
}

// ReadError gives the error of a request that changes nothing its kind.
func ReadError(err error) error { return kind(err, fault.Unavailable) }

// WriteError gives the error of a message that was sent its kind: UnknownOutcome,
// unless the server said what it did.
func WriteError(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Mark(fault.UnknownOutcome, err)
	}
	return kind(err, fault.UnknownOutcome)
}

func kind(err, lost error) error {
	switch {
	case err == nil || fault.KindOf(err) != nil:
		return err
	case refused(err):
		return fault.Mark(fault.Denied, err)
	case Is(err, amqp.PreconditionFailed) && strings.Contains(err.Error(), "larger than"): // max_message_size
		return fault.Mark(fault.TooLarge, err)
	}
	return fault.Mark(lost, err)
}
