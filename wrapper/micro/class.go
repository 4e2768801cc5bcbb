package micro

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	merrors "go-micro.dev/v5/errors"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// endOfStream is what go-micro's server says at the good end of a stream.
const endOfStream = "EOS"

// outcome is how a call went: its class, and go-micro's code.
func outcome(ctx context.Context, err error) (router.Class, int) {
	if err == nil || err == io.EOF || err.Error() == endOfStream {
		return router.OK, 0
	}
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled) {
		return router.Cancelled, 0
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return router.Timeout, 408
	}
	var refused *net.OpError
	switch {
	case errors.As(err, &refused) && refused.Op == "dial", errors.Is(err, syscall.ECONNREFUSED):
		return router.Unsent, 0
	case errors.As(err, &refused), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return router.Connect, 0
	}
	// An error of the other side comes as text.
	e, ours := err.(*merrors.Error)
	if !ours {
		e = merrors.Parse(err.Error())
	}
	code := int(e.Code)
	if ours && strings.HasPrefix(e.Id, "go.micro.client") {
		switch {
		case e.Id == "go.micro.client.codec":
			return router.ClientError, code
		case e.Id == "go.micro.client.transport":
			return router.Connect, code
		case strings.HasPrefix(e.Detail, "connection error"), strings.HasPrefix(e.Detail, "error selecting"),
			strings.HasPrefix(e.Detail, "error getting next"), strings.HasSuffix(e.Detail, "not found"):
			return router.Unsent, code
		}
	}
	switch {
	case code == 429 || code == 503:
		return router.Overload, code
	case code == 408 || code == 504 || e.Detail == context.DeadlineExceeded.Error():
		return router.Timeout, code
	case code >= 400 && code < 500:
		return router.ClientError, code
	}
	return router.ServerError, code
}

// refused is the class of an error that came before a call was sent: from the
// router, auth or a limit. What a client returns is never taken for one.
func refused(ctx context.Context, err error) router.Class {
	switch {
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, context.Canceled):
		return router.Cancelled
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return router.Timeout
	case errors.Is(err, router.ErrLimited):
		return router.Overload
	}
	return router.Unsent
}

// refusal is what a caller sees of a gate's error: the kind, and nothing that
// would help an attacker.
func refusal(a wrapper.Adapter, service string, err error) error {
	if errors.Is(err, auth.ErrNonce) {
		return merrors.Unauthorized(service, "%s", nonceOf(a.Auth()))
	}
	switch wrapper.StatusOf(err) {
	case 401:
		return merrors.Unauthorized(service, "not authenticated")
	case 403:
		return merrors.Forbidden(service, "denied")
	case 429:
		return merrors.New(service, "too many calls", 429)
	case 503:
		return merrors.New(service, "try again later", 503)
	case 504:
		return merrors.Timeout(service, "deadline exceeded")
	}
	return merrors.InternalServerError(service, "internal error")
}
