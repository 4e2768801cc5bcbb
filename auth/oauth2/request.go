package oauth2

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	xoauth2 "golang.org/x/oauth2"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/post"
)

// maxAnswer bounds what a server may answer.
const maxAnswer = 1 << 20

// post sends a form as the client.
func (s *server) post(ctx context.Context, m *metadata, to string, f url.Values) (status int, body []byte, err error) {
	basic := s.style(m) == xoauth2.AuthStyleInHeader
	if !basic {
		f.Set("client_id", s.id)
		if s.secret != "" {
			f.Set("client_secret", s.secret)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(f.Encode()))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if basic {
		r.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.secret))
	}
	client := s.clientFor(to)
	if to == m.Token {
		client = s.tokenClient(m)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, kindOf(ctx, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, nil, kindOf(ctx, err)
	}
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
		return 0, nil, later(resp.Header, refusal(resp.StatusCode, body))
	}
	return resp.StatusCode, body, nil
}

// laterError is the error of a server that says when to come back.
type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }

// RetryAfter is what package auth looks for.
func (e *laterError) RetryAfter() time.Duration { return e.after }

// later adds what Retry-After says.
func later(h http.Header, err error) error {
	after := post.RetryAfter(h)
	if after == 0 {
		return err
	}
	return &laterError{err, after}
}

// refusal is the error of an answer that is not a success.
func refusal(status int, body []byte) error {
	var e struct {
		Code string `json:"error"`
		Text string `json:"error_description"`
	}
	json.Unmarshal(body, &e) // whatever it is, the status is what counts
	return refused(status, e.Code, e.Text)
}

func refused(status int, code, text string) error {
	kind := auth.ErrUnauthenticated
	switch {
	case status >= 500 || status == http.StatusTooManyRequests || status < 400:
		kind = auth.ErrUnavailable
	case code == "unauthorized_client" || code == "access_denied":
		kind = auth.ErrDenied
	case code == "unsupported_grant_type" || code == "unsupported_token_type":
		kind = auth.ErrUnsupported
	case code == "invalid_scope" || code == "invalid_target" || code == "invalid_request":
		kind = auth.ErrInvalid
	}
	code = cmp.Or(code, "no reason given")
	if text != "" {
		code += ": " + text
	}
	return fault.Markf(kind, "status %d: %.300s", status, code)
}

// kindOf gives an error of x/oauth2 or net/http its kind. Its text never holds
// the body of an answer, which may hold a token.
func kindOf(ctx context.Context, err error) error {
	var r *xoauth2.RetrieveError
	var u *url.Error
	switch {
	case ctx.Err() != nil:
		return fault.Mark(auth.ErrUnavailable, ctx.Err())
	case errors.As(err, &r) && r.Response != nil:
		return later(r.Response.Header, refused(r.Response.StatusCode, r.ErrorCode, r.ErrorDescription))
	case errors.As(err, &u):
		return fault.Mark(auth.ErrUnavailable, u.Err)
	}
	return fault.Markf(auth.ErrUnavailable, "an answer without a usable token")
}
