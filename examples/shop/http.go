package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/kv"
)

// failure is an error with a status for the caller.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

// bad is the error of a request that can't be.
func bad(text string) error { return &failure{http.StatusBadRequest, text} }

// handle answers with what f returns, as JSON.
func handle(f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		code, known := http.StatusOK, (*failure)(nil)
		switch {
		case err == nil:
		case errors.As(err, &known):
			code = known.status
		case errors.Is(err, db.ErrNotFound), status.Code(err) == codes.NotFound:
			code = http.StatusNotFound
		case errors.Is(err, db.ErrInvalid), errors.Is(err, db.ErrTooLarge), errors.Is(err, kv.ErrInvalid), status.Code(err) == codes.InvalidArgument:
			code = http.StatusBadRequest // else the router would take a healthy instance for a failing one
		default:
			code = http.StatusServiceUnavailable // a caller may try again
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(code)
		if err != nil {
			v = map[string]string{"error": err.Error()}
		}
		_ = json.NewEncoder(rw).Encode(v)
	}
}

// decode reads the body of a request.
func decode(r *http.Request, v any) error {
	return json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(v)
}

// ask calls a service. An answer that is no success is a *failure.
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
	if resp.StatusCode >= 300 {
		return &failure{resp.StatusCode, fmt.Sprintf("%s %s: %s: %s", method, url, resp.Status, bytes.TrimSpace(text))}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// say writes a line for whoever runs the program.
func say(out io.Writer, format string, args ...any) { fmt.Fprintf(out, format, args...) }
