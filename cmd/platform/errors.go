package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
)

// The exit codes. They are documented: none changes its meaning.
const (
	exitOK          = 0
	exitNo          = 1 // the answer is no: not found, nobody leads, a token that is not accepted
	exitUse         = 2 // bad use: an unknown command, flag or address, bad input, what the backend can't do
	exitUnavailable = 3 // the backend does not answer
	exitConflict    = 4 // a condition does not hold: exists, changed meanwhile, held
	exitDenied      = 5 // the backend refuses the credentials, or they lack a right
	exitUnknown     = 6 // a write that may have been applied: its answer was lost
	exitOther       = 7 // anything else
	exitInterrupted = 130
)

// codes says which errors of the packages stand for which exit code, the first
// that matches.
var codes = []struct {
	code int
	errs []error
}{
	{exitUnknown, []error{kv.ErrUnknownOutcome, store.ErrUnknownOutcome, discovery.ErrUnknownOutcome, event.ErrUnknownOutcome, sync.ErrUnknownOutcome}},
	{exitNo, []error{kv.ErrNotFound, store.ErrNotFound, config.ErrNotFound, event.ErrNotFound, discovery.ErrNotFound, sync.ErrNoLeader, router.ErrNoInstances, auth.ErrUnauthenticated}},
	{exitUse, []error{
		kv.ErrInvalid, store.ErrInvalid, config.ErrInvalid, event.ErrInvalid, discovery.ErrInvalid, sync.ErrInvalid, trace.ErrInvalid, auth.ErrInvalid, router.ErrInvalid, monitor.ErrInvalid, engine.ErrInvalid,
		kv.ErrUnsupported, event.ErrUnsupported, discovery.ErrUnsupported, sync.ErrUnsupported, trace.ErrUnsupported, auth.ErrUnsupported,
		kv.ErrTooLarge, store.ErrTooLarge, config.ErrTooLarge, discovery.ErrTooLarge, event.ErrTooLarge,
	}},
	{exitConflict, []error{kv.ErrExists, kv.ErrConflict, store.ErrConflict, event.ErrConflict, discovery.ErrExists, sync.ErrHeld, sync.ErrTimeout, sync.ErrConflict, sync.ErrLost}},
	{exitDenied, []error{kv.ErrDenied, store.ErrDenied, event.ErrDenied, discovery.ErrDenied, sync.ErrDenied, auth.ErrDenied, engine.ErrDenied}},
	{exitUnavailable, []error{
		kv.ErrUnavailable, store.ErrUnavailable, config.ErrUnavailable, event.ErrUnavailable, discovery.ErrUnavailable, sync.ErrUnavailable, trace.ErrUnavailable, auth.ErrUnavailable, router.ErrUnavailable, monitor.ErrUnavailable, engine.ErrUnavailable,
		context.DeadlineExceeded,
	}},
}

// failure is an error with an exit code of its own.
type failure struct {
	code int
	text string // "": nothing is printed
}

func (e *failure) Error() string { return e.text }

// badUse is what is wrong with the command line.
func badUse(format string, args ...any) error {
	return &failure{exitUse, fmt.Sprintf(format, args...)}
}

// no is a negative answer.
func no(format string, args ...any) error { return &failure{exitNo, fmt.Sprintf(format, args...)} }

// report prints an error, on one line, and returns the exit code.
func report(ctx context.Context, io streams, err error) int {
	if err == nil {
		return exitOK
	}
	code := codeOf(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	if err.Error() != "" {
		io.complain("%s", oneLine(err.Error()))
	}
	return code
}

func codeOf(err error) int {
	f, ok := errors.AsType[*failure](err)
	if ok {
		return f.code
	}
	for _, c := range codes {
		if slices.ContainsFunc(c.errs, func(e error) bool { return errors.Is(err, e) }) {
			return c.code
		}
	}
	return exitOther
}

// complain prints a line on standard error.
func (s streams) complain(format string, args ...any) {
	name := "platform:"
	if s.colors(s.errTerminal) {
		name = red.paint(name)
	}
	fmt.Fprintf(s.err, "%s %s\n", name, fmt.Sprintf(format, args...))
}

// note prints what a person may want to know beside the output.
func (s streams) note(format string, args ...any) {
	text := oneLine(fmt.Sprintf(format, args...))
	if s.colors(s.errTerminal) {
		text = dim.paint(text)
	}
	fmt.Fprintln(s.err, text)
}

// oneLine makes a message one line that does nothing to a terminal.
func oneLine(s string) string {
	return printable(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; "))
}
