package wrapper

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
)

// classOfStatus is the class of an HTTP answer.
func classOfStatus(code int) router.Class {
	switch {
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return router.Overload
	case code == http.StatusGatewayTimeout:
		return router.Timeout
	case code >= 500:
		return router.ServerError
	case code >= 400:
		return router.ClientError
	}
	return router.OK
}

// classOfOwn is the class of an error that arose before a call was sent: in the
// router, in auth, or while it waited.
func classOfOwn(ctx context.Context, err error) router.Class {
	switch {
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, context.Canceled):
		return router.Cancelled
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return router.Timeout
	}
	switch {
	case errors.Is(err, router.ErrLimited):
		return router.Overload
	case isOneOf(err, auth.ErrUnavailable, router.ErrUnavailable):
		return router.Unsent
	case isOneOf(err, auth.ErrUnauthenticated, auth.ErrDenied, auth.ErrInvalid, router.ErrInvalid):
		return router.ClientError
	}
	return router.Unsent
}

// isOneOf asks for sentinels: a kind that another package gave an error says
// nothing about this call.
func isOneOf(err error, sentinels ...error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}

// classOfBroken is the class of an error that arose while a call was being
// sent or its answer read. Kinds say nothing here: the error may come from the
// caller's own body, or from a transport of its own. ctx is the caller's.
func classOfBroken(ctx context.Context, err error) router.Class {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return router.Cancelled
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return router.Timeout
	case errors.Is(err, context.Canceled):
		return router.Cancelled
	}
	return router.Connect
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// streamError has the fields by which errors.As finds net/http's own, which it
// doesn't export.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream error %d", e.Code) }

// refusedStream reports whether an HTTP/2 server said that it did not process
// the request (RFC 9113 section 8.7).
func refusedStream(err error) bool {
	const refused = 0x7
	var e streamError
	return errors.As(err, &e) && e.Code == refused
}

func failureOf(class router.Class, status int, err error) error {
	switch {
	case err != nil:
		return err
	case class == router.OK:
		return nil
	case status != 0:
		return statusError(status)
	}
	return classError(class)
}

// statusError is an error without an allocation per call.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }

type classError router.Class

func (c classError) Error() string { return router.Class(c).String() }

// reason is what to say of a call that failed.
func (c *Call) reason() error {
	if c.Panic != nil {
		return fmt.Errorf("panic: %v", c.Panic)
	}
	return failureOf(c.Class, c.Status, c.Err)
}

// spanName is "GET /users/{id}", "greeter.Greeter/Hello" or "process orders".
func (c *Call) spanName() string {
	switch {
	case c.Message:
		name, _ := c.operation()
		return name + " " + c.Method
	case c.Protocol != "http":
		if c.Method == other {
			return c.rpcSystem()
		}
		return c.rpcMethod()
	}
	method := c.Action
	if method == other {
		method = "HTTP"
	}
	switch {
	case c.Side == Client || c.Route == "":
		return method
	case len(c.Method) == len(method)+1+len(c.Route) && strings.HasPrefix(c.Method, method) && strings.HasSuffix(c.Method, c.Route):
		return c.Method // which is the same
	}
	return method + " " + c.Route
}
