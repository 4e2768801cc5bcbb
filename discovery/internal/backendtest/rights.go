package backendtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/micro/go-platform/discovery"
)

// Denied collects which calls fail for want of a right.
type Denied struct {
	t      testing.TB
	lacks  string
	failed []string
}

// Without is for a client that lacks a right.
func Without(t testing.TB, lacks string) *Denied { return &Denied{t: t, lacks: lacks} }

// Note takes the outcome of a call. An error has to be ErrDenied.
func (d *Denied) Note(call string, err error) {
	d.t.Helper()
	if err == nil {
		return
	}
	d.failed = append(d.failed, call)
	if !errors.Is(err, discovery.ErrDenied) {
		d.t.Errorf("without %s: %s: %v, want ErrDenied", d.lacks, call, err)
	}
}

// Want checks that those calls have failed, in their order, and no other.
func (d *Denied) Want(calls string) {
	d.t.Helper()
	if got := strings.Join(d.failed, " "); got != calls {
		d.t.Errorf("without %s these fail: %q, want %q", d.lacks, got, calls)
	}
}
