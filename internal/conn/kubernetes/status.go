package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// ErrGone is the answer 410: what was asked for is too old, and a list has to
// begin again.
var ErrGone = errors.New("the API server no longer has this version")

// StatusError is an answer that is no success, as the API server words it.
type StatusError struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"` // as "AlreadyExists"
	Message string `json:"message"`
}

// Error returns the message and the code.
func (s *StatusError) Error() string { return fmt.Sprintf("%s (%d %s)", s.Message, s.Code, s.Reason) }

// maxMessage bounds what an answer puts into an error.
const maxMessage = 500

// refusal makes an error of an answer that is no success.
func refusal(code int, body []byte, write bool) error {
	s := &StatusError{}
	err := json.Unmarshal(body, s)
	if err != nil || s.Message == "" {
		s.Message = strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), maxMessage)]), "?"))
		if s.Message == "" {
			s.Message = http.StatusText(code)
		}
	}
	s.Code = code
	if len(s.Message) > maxMessage {
		s.Message = strings.ToValidUTF8(s.Message[:maxMessage], "") + "…"
	}
	s.Message += conn.WantsTLS(code, body)
	return s.marked(write)
}

// marked gives an answer its kind. An API server that fails a write with 500 or
// 504 may have applied it: its own request to etcd may have been lost.
func (s *StatusError) marked(write bool) error {
	kind := fault.Unavailable
	switch {
	case s.Code == http.StatusUnauthorized || s.Code == http.StatusForbidden:
		kind = fault.Denied
	case s.Code == http.StatusNotFound:
		kind = fault.NotFound
	case s.Code == http.StatusConflict && s.Reason == "AlreadyExists":
		kind = fault.Exists
	case s.Code == http.StatusConflict:
		kind = fault.Conflict
	case s.Code == http.StatusGone:
		return fmt.Errorf("%w: %w", ErrGone, s)
	case s.Code == http.StatusRequestEntityTooLarge:
		kind = fault.TooLarge
	case s.Code == http.StatusMethodNotAllowed || s.Code == http.StatusNotAcceptable || s.Code == http.StatusUnsupportedMediaType:
		kind = fault.Unsupported
	case s.Code == http.StatusTooManyRequests:
	case s.Code < 500:
		kind = fault.Invalid
	case write:
		kind = fault.UnknownOutcome
	}
	return fault.Mark(kind, s)
}

// unanswered gives the error of a request without an answer its kind. sent says
// that it may have reached the server.
func unanswered(ctx context.Context, err error, write, sent bool) error {
	if ctx.Err() != nil && !(write && sent) {
		return ctx.Err()
	}
	if fault.KindOf(err) != nil && !isContext(err) {
		return err // of the credentials, or of the limit
	}
	if write && sent {
		return fault.Mark(fault.UnknownOutcome, err)
	}
	return fault.Mark(fault.Unavailable, err)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
