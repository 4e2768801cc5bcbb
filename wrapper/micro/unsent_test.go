package micro_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"go-micro.dev/v5/client"
	merrors "go-micro.dev/v5/errors"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/micro"
)

// broken is a client whose first call ends with an error: the ways in which
// go-micro's client says what happened on the wire can't all be had from it.
type broken struct {
	client.Client
	err   error
	calls int
}

func (b *broken) Call(context.Context, client.Request, interface{}, ...client.CallOption) error {
	if b.calls++; b.calls == 1 {
		return b.err
	}
	return nil
}

// What certainly was not sent is sent again, whatever the method; what may have
// been only if it is idempotent. What the server says is never taken for what
// the client does, whatever its words.
func TestOnlyWhatWasNotSentIsSentAgain(t *testing.T) {
	remote := func(detail string, code int32) error { return merrors.New("echo", detail, code) }
	own := func(id, detail string, code int32) error { return merrors.New("go.micro.client"+id, detail, code) }
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for name, c := range map[string]struct {
		err        error
		class      router.Class // of the first attempt
		idempotent int          // how often it is sent then
		plain      int          // and otherwise
	}{
		"no connection":                {dial, router.Unsent, 2, 2},
		"no connection, wrapped":       {fmt.Errorf("dial: %w", dial), router.Unsent, 2, 2},
		"refused":                      {syscall.ECONNREFUSED, router.Unsent, 2, 2},
		"says that it has none":        {own("", "connection error: dial tcp", 500), router.Unsent, 2, 2},
		"no node":                      {own("", "error selecting echo node: none available", 500), router.Unsent, 2, 2},
		"no next node":                 {own("", "error getting next echo node: x", 500), router.Unsent, 2, 2},
		"not in the registry":          {own("", "service echo: not found", 500), router.Unsent, 2, 2},
		"broke while it was read":      {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, router.Connect, 2, 1},
		"half an answer":               {io.ErrUnexpectedEOF, router.Connect, 2, 1},
		"closed":                       {net.ErrClosed, router.Connect, 2, 1},
		"the transport's":              {own(".transport", "connection error", 500), router.Connect, 2, 1},
		"the codec's":                  {own(".codec", "connection error", 500), router.ClientError, 1, 1},
		"another of the client":        {own("", "something", 500), router.ServerError, 1, 1},
		"the server's words":           {remote("connection error: database", 500), router.ServerError, 1, 1},
		"the server's, as text":        {errors.New(remote("error selecting from users", 500).Error()), router.ServerError, 1, 1},
		"the server's user":            {remote("user 7: not found", 404), router.ClientError, 1, 1},
		"the server's client, as text": {errors.New(own("", "connection error: dial tcp", 500).Error()), router.ServerError, 1, 1},
		"the server is busy":           {remote("busy", 503), router.Overload, 2, 1},
	} {
		for kind, want := range map[string]int{"idempotent": c.idempotent, "plain": c.plain} {
			t.Run(name+", "+kind, func(t *testing.T) {
				attempts := &attempts{}
				w := newWrapper(t, "edge", wrapper.WithRouter(fixed(t, "127.0.0.1:1", "127.0.0.1:2")), wrapper.WithObserver(attempts),
					wrapper.WithRetry(wrapper.RetryPolicy{Max: 1, Min: 1}))
				below := &broken{Client: client.NewClient(client.WithLogger(silent)), err: c.err}
				over := micro.Client(w, micro.WithIdempotent(func(string, string) bool { return kind == "idempotent" }))(below)
				_, err := say(t.Context(), over, "x")
				if below.calls != want || (err == nil) != (want == 2) {
					t.Errorf("sent %d times, %v, want %d", below.calls, err, want)
				}
				if len(attempts.classes) != want || attempts.classes[0] != c.class {
					t.Errorf("attempts %v, want the first to be %v", attempts.classes, c.class)
				}
			})
		}
	}
}

// A call that finds no instance, so that nothing is sent, says that it had no
// attempt.
func TestNoAttemptWithoutAnInstance(t *testing.T) {
	for _, addrs := range [][]string{nil, {"127.0.0.1:1"}} {
		rec := newRecorder()
		w := newWrapper(t, "edge", wrapper.WithRouter(fixed(t, addrs...)), wrapper.WithObserver(rec))
		below := &broken{Client: client.NewClient(client.WithLogger(silent))}
		_, err := say(t.Context(), micro.Client(w)(below), "x")
		call := receive(t, rec.ended)
		if n := len(addrs); call.Attempts != n || below.calls != n || (err == nil) != (n == 1) {
			t.Errorf("%d instances: %d attempts, sent %d times, %v", n, call.Attempts, below.calls, err)
		}
	}
}

// attempts remembers how attempts ended.
type attempts struct{ classes []router.Class }

func (*attempts) Begin(ctx context.Context, _ *wrapper.Call) context.Context           { return ctx }
func (*attempts) End(context.Context, *wrapper.Call)                                   {}
func (*attempts) BeginAttempt(ctx context.Context, _ *wrapper.Attempt) context.Context { return ctx }
func (a *attempts) EndAttempt(_ context.Context, t *wrapper.Attempt) {
	a.classes = append(a.classes, t.Class)
}
