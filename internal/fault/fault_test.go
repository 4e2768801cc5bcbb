package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

func TestWrapSaysEverythingOnce(t *testing.T) {
	native := errors.New("redis: nil")
	for _, c := range []struct {
		name, subject string
		cause         error
		want          string
		is            []error
	}{
		{"bare kind", "users/1", fault.NotFound, `kv/redis: get "users/1": not found`, []error{fault.NotFound}},
		{"marked cause", "users/1", fault.Mark(fault.NotFound, native), `kv/redis: get "users/1": not found: redis: nil`, []error{fault.NotFound, native}},
		{"no subject", "", fault.Mark(fault.Unavailable, io.EOF), `kv/redis: get: backend unavailable: EOF`, []error{fault.Unavailable, io.EOF}},
		{"no kind", "k", io.EOF, `kv/redis: get "k": EOF`, []error{io.EOF}},
		{"context", "k", context.Canceled, `kv/redis: get "k": context canceled`, []error{context.Canceled}},
		{"wrapped kind says it itself", "k", fmt.Errorf("%w: revision 3", fault.Conflict), `kv/redis: get "k": conflict: revision 3`, []error{fault.Conflict}},
		{"kind deep inside", "k", fmt.Errorf("txn: %w", fault.Conflict), `kv/redis: get "k": txn: conflict`, []error{fault.Conflict}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := fault.Wrap("kv/redis", "get", c.subject, c.cause)
			if err.Error() != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			for _, target := range c.is {
				if !errors.Is(err, target) {
					t.Errorf("errors.Is(%v, %v) is false", err, target)
				}
			}
			if again := fault.Wrap("kv", "load", "x", err); again != err {
				t.Errorf("wrapped twice: %v", again)
			}
		})
	}
	if fault.Wrap("a", "b", "c", nil) != nil || fault.Mark(fault.Closed, nil) != nil {
		t.Error("nil did not stay nil")
	}
}

func TestFinerKindsKeepTheirIdentity(t *testing.T) {
	sentinel := fault.Finer(fault.Unavailable, "no instances")
	err := fault.Wrap("router", "select", "x", sentinel)
	if !errors.Is(err, sentinel) || !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v lost its identity", err)
	}
	if want := `router: select "x": backend unavailable: no instances`; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
}

func TestKindOf(t *testing.T) {
	if got := fault.KindOf(fmt.Errorf("x: %w", fault.Mark(fault.Held, io.EOF))); got != fault.Held {
		t.Errorf("KindOf = %v, want %v", got, fault.Held)
	}
	if got := fault.KindOf(io.EOF); got != nil {
		t.Errorf("KindOf(EOF) = %v, want nil", got)
	}
}

func TestJoinIsOneLine(t *testing.T) {
	a, b := errors.New("a"), fmt.Errorf("%w: b", fault.Closed)
	for _, c := range []struct {
		err  error
		text string
	}{
		{fault.Join(), ""}, {fault.Join(nil, nil), ""}, {fault.Join(nil, a), "a"}, {fault.Join(a, nil, b), "a; closed: b"},
	} {
		if c.text == "" {
			if c.err != nil {
				t.Errorf("%v, want nil", c.err)
			}
			continue
		}
		if c.err == nil || c.err.Error() != c.text || !errors.Is(c.err, a) {
			t.Errorf("%v, want %q", c.err, c.text)
		}
	}
	if !errors.Is(fault.Join(a, b), fault.Closed) {
		t.Error("the kind of the second is lost")
	}
}

// What was said before of an error is not true of it as the second of two steps; its
// cause is still reachable.
func TestInsteadTakesTheKindAway(t *testing.T) {
	cause := &net.OpError{Op: "dial", Err: context.Canceled}
	err := fault.Wrap("db/x", "restore", "a", fault.Instead(fault.Of("db", fault.UnknownOutcome), fault.Mark(fault.Unavailable, cause)))
	var op *net.OpError
	if !errors.Is(err, fault.Of("db", fault.UnknownOutcome)) || !errors.Is(err, fault.UnknownOutcome) || !errors.Is(err, context.Canceled) || !errors.As(err, &op) || fault.KindOf(err) != fault.UnknownOutcome {
		t.Errorf("%v is not of the new kind, or has lost its cause", err)
	}
	if errors.Is(err, fault.Of("db", fault.Unavailable)) || errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Of("kv", fault.UnknownOutcome)) {
		t.Errorf("%v is of the kind before, or another package's", err)
	}
	if got, want := err.Error(), `db/x: restore "a": outcome unknown: backend unavailable: dial: context canceled`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := fault.Instead(fault.UnknownOutcome, nil); err != nil {
		t.Errorf("of nil: %v", err)
	}
}
