package consul

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Read gives the error of a call that changes nothing its kind.
func Read(err error) error { return classify(err, fault.Unavailable) }

// Write gives the error of a call that changes something its kind: without an
// answer it may have been applied.
func Write(err error) error { return classify(err, fault.UnknownOutcome) }

// Missing reports whether the server answered that there is no such thing.
func Missing(err error) bool {
	s, ok := errors.AsType[api.StatusError](err)
	if !ok {
		return false
	}
	// An agent answers 404 for a check or service that it doesn't know; older
	// ones answered 500 with these words.
	return s.Code == http.StatusNotFound || strings.Contains(s.Body, "Unknown check") ||
		strings.Contains(s.Body, "Unknown service") || strings.Contains(s.Body, "does not have associated TTL")
}

// classify marks err; lost is the kind of a call whose answer never came.
func classify(err error, lost error) error {
	if err == nil || fault.KindOf(err) != nil && !conn.IsContext(err) {
		return err
	}
	if _, unsent := errors.AsType[*dialError](err); unsent {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return fault.Mark(fault.Unavailable, err)
	}
	if s, ok := errors.AsType[api.StatusError](err); ok {
		return fault.Mark(status(s, lost), err)
	}
	if Denied(err.Error()) { // a transaction's errors have no status
		return fault.Mark(fault.Denied, err)
	}
	if conn.IsContext(err) && errors.Is(lost, fault.Unavailable) {
		return err // a read that its caller gave up
	}
	return fault.Mark(lost, err)
}

func status(s api.StatusError, lost error) error {
	switch {
	case s.Code == http.StatusForbidden, s.Code == http.StatusUnauthorized:
		return fault.Denied
	case s.Code == http.StatusNotFound:
		return fault.NotFound
	case s.Code == http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	case s.Code == http.StatusTooManyRequests, s.Code == http.StatusServiceUnavailable:
		return fault.Unavailable
	case s.Code < 500:
		return fault.Invalid
	case strings.Contains(s.Body, "No cluster leader"), strings.Contains(s.Body, "No known Consul servers"):
		return fault.Unavailable // refused before the log
	case Denied(s.Body):
		return fault.Denied
	}
	// "leadership lost while committing log" and others: anything may be true.
	return lost
}

// Denied reports that these words of the server, of an answer that came without
// a status or with a general one, refuse a token or its rights.
func Denied(why string) bool {
	return strings.Contains(why, "ACL not found") || strings.Contains(why, "Permission denied") ||
		strings.HasSuffix(why, "Unexpected response code: 403") // all that the API says of a session's renewal
}

// Refused is the error of a transaction that lacked a right, nil if it failed
// for another reason.
func Refused(all api.TxnErrors) error {
	for _, e := range all {
		if Denied(e.What) {
			return fault.Markf(fault.Denied, "%s", e.What)
		}
	}
	return nil
}
