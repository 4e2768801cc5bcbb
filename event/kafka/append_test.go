package kafka

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

// Of several records, each of which is stored, not stored, or on its way.
func TestWhatBecameOfSeveral(t *testing.T) {
	const failed, open, late = 'f', 'o', 'l' // and s: it is stored
	for what, want := range map[string]struct {
		n    int
		kind error // of the kinds that Append may say; nil: success, or an error as it came
		err  error
	}{
		"s": {1, nil, nil}, "ss": {2, nil, nil}, "f": {0, nil, io.EOF}, "sf": {1, nil, io.EOF}, "ff": {0, nil, io.EOF},
		"o": {0, fault.UnknownOutcome, context.Canceled}, "so": {1, fault.UnknownOutcome, context.Canceled}, "os": {0, fault.UnknownOutcome, context.Canceled},
		"fo": {0, fault.UnknownOutcome, context.Canceled}, "of": {0, fault.UnknownOutcome, context.Canceled},
		"fs": {0, fault.UnknownOutcome, nil}, "sfs": {1, fault.UnknownOutcome, nil},
		"l": {0, fault.Unavailable, context.Canceled}, "sl": {1, fault.Unavailable, context.Canceled}, "lf": {0, fault.Unavailable, context.Canceled}, "fl": {0, nil, io.EOF},
	} {
		f := &flight{}
		for _, one := range what {
			err := map[rune]error{failed: io.EOF, late: context.Canceled}[one]
			f.errs, f.done = append(f.errs, err), append(f.done, one != open)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n, err := f.outcome(ctx)
		if n != want.n || fault.KindOf(err) != fault.KindOf(want.kind) || (err == nil) != (want.kind == nil && want.err == nil) || want.err != nil && !errors.Is(err, want.err) {
			t.Errorf("%s: %d, %v, want %d, %v of %v", what, n, err, want.n, want.err, want.kind)
		}
	}
}

// Who comes after records whose outcome nobody waited for waits until all of it is known.
func TestWhatIsOverdueIsWaitedFor(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	var o overdue
	waits := func() bool { return errors.Is(o.wait(over), context.Canceled) }
	for i, step := range []struct {
		n     int
		waits bool
	}{{0, false}, {1, true}, {1, true}, {-1, true}, {-1, false}, {2, true}, {-2, false}} {
		o.add(step.n)
		if waits() != step.waits {
			t.Errorf("step %d: %d are overdue, and it waits: %v", i, o.n, !step.waits)
		}
	}
	o.add(2)
	done := make(chan error)
	go func() { done <- o.wait(t.Context()) }()
	o.add(-1)
	o.add(-1)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
