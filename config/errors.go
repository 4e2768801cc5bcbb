package config

import (
	"fmt"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrNotFound says that what a source reads is not there: a file, a key.
	ErrNotFound = fault.Of("config", fault.NotFound)
	// ErrInvalid is content, an option or an argument that can't be used.
	ErrInvalid = fault.Of("config", fault.Invalid)
	// ErrTooLarge is content beyond MaxSize.
	ErrTooLarge = fault.Of("config", fault.TooLarge)
	// ErrUnavailable says that a source could not be asked.
	ErrUnavailable = fault.Of("config", fault.Unavailable)
	// ErrDenied is a change that a validator or a subscriber refused.
	ErrDenied = fault.Of("config", fault.Denied)
	// ErrClosed is returned after Close.
	ErrClosed = fault.Of("config", fault.Closed)
)

// FieldError is one problem of a value: where it is, where it came from and
// what is wrong with it. Use errors.As to reach it; several may be joined.
type FieldError struct {
	Path    string // "server.port"
	Origin  Origin // zero if no source set it
	Problem string // "want int, got string"
}

// Error returns, for instance, `app.yaml:12: server.port: want int, got string "x"`.
func (e *FieldError) Error() string {
	path := e.Path
	if path == "" {
		path = "(root)"
	}
	if e.Origin.Source == "" {
		return path + ": " + e.Problem
	}
	return e.Origin.String() + ": " + path + ": " + e.Problem
}

// Is makes every FieldError an ErrInvalid.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid || target == fault.Invalid }

// SyntaxError is content that can't be parsed.
type SyntaxError struct {
	Line, Column int // from 1; 0 if unknown
	Problem      string
}

// Error returns, for instance, `line 3, column 7: duplicate key "a"`.
func (e *SyntaxError) Error() string {
	switch {
	case e.Line > 0 && e.Column > 0:
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
	case e.Line > 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Problem)
	}
	return e.Problem
}

// Is makes every SyntaxError an ErrInvalid.
func (e *SyntaxError) Is(target error) bool { return target == ErrInvalid || target == fault.Invalid }

// SourceError says since when a source can't be read, and why.
type SourceError struct {
	Source string
	Since  time.Time
	Err    error
}

// Error returns, for instance, "source etcd /config/app: since 12:04:11: backend unavailable".
func (e *SourceError) Error() string {
	return "source " + e.Source + ": since " + e.Since.Format("15:04:05") + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }
