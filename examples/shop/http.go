package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/kv"
)

// failure is an error that says to the caller what is wrong. Every other error is
// for the log alone: its text names tables, addresses and keys.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

// bad is the error of a request that can't be.
func bad(text string) error { return &failure{http.StatusBadRequest, text} }

// said is what an error looks like to the caller.
func said(err error) *failure {
	var known *failure
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, db.ErrNotFound), status.Code(err) == codes.NotFound:
		return &failure{http.StatusNotFound, "there is no such thing"}
	case errors.Is(err, db.ErrInvalid), errors.Is(err, db.ErrTooLarge), errors.Is(err, kv.ErrInvalid), status.Code(err) == codes.InvalidArgument:
		return &failure{http.StatusBadRequest, "that can not be a name here"} // else the router would take a healthy instance for a failing one
	}
	return &failure{http.StatusServiceUnavailable, "not now; try again"}
}

// handle answers with what f returns, as JSON.
func handle(l *slog.Logger, f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		code := http.StatusOK
		if err != nil {
			told := said(err)
			if told != err {
				l.WarnContext(r.Context(), "request failed", "error", err)
			}
			code, v = told.status, problem{told.text}
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(code)
		_ = json.NewEncoder(rw).Encode(v)
	}
}

// problem is the body of an answer that is no success.
type problem struct {
	Error string `json:"error"`
}

// decode reads the body of a request.
func decode(r *http.Request, v any) error {
	return json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(v)
}

// ask calls a service. What it says of a request that is wrong is a *failure, for
// the caller's caller; what is wrong with the service is not.
func ask(ctx context.Context, client *http.Client, method, url string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict:
		var p problem
		if err := json.Unmarshal(text, &p); err != nil {
			return fmt.Errorf("%s %s: %s, and %w", method, url, resp.Status, err)
		}
		return &failure{resp.StatusCode, p.Error}
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, bytes.TrimSpace(text))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// say writes a line for whoever runs the program.
func say(out io.Writer, format string, args ...any) { fmt.Fprintf(out, format, args...) }
