package wrapper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/micro/go-platform/internal/fault"
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
	case code == 499 || code == http.StatusRequestTimeout: // the caller was too slow, or left
		return router.ClientError
	case code >= 400:
		return router.ClientError
	}
	return router.OK
}

// classOfError is the class of a transport's error. ctx is the caller's, who
// may have given up.
func classOfError(ctx context.Context, err error) router.Class {
	if errors.Is(ctx.Err(), context.Canceled) {
		return router.Cancelled
	}
	switch fault.KindOf(err) { // of the router or of auth: nothing was sent
	case fault.Unavailable:
		return router.Unsent
	case fault.Exhausted:
		return router.Overload
	case fault.Unauthenticated, fault.Denied:
		return router.ClientError
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return router.Unsent // nothing was sent on a connection that was never made
	case strings.Contains(err.Error(), "REFUSED_STREAM"): // http2's error is not exported by net/http
		return router.Unsent
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return router.Timeout
	case errors.Is(err, context.Canceled):
		return router.Cancelled
	case errors.Is(err, syscall.ECONNREFUSED):
		return router.Unsent
	}
	return router.Connect
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// failure is what to say of a call that did not go well, or nil.
func (c *Call) failure() error {
	switch {
	case c.Panic != nil:
		return fmt.Errorf("panic: %v", c.Panic)
	case c.Class == router.Cancelled || c.Class == router.ClientError && c.Side == Server:
		return nil
	}
	return failureOf(c.Class, c.Status, c.Err)
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

// spanName is the method, or what is done with a message.
func (c *Call) spanName() string {
	switch {
	case c.Message:
		return c.Action + " " + c.Method
	case c.Method == "":
		return c.Action
	}
	return c.Method
}
