package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

func TestOpeningAndUnanswered(t *testing.T) {
	native := errors.New("dial tcp: refused")
	for _, c := range []struct {
		name string
		form func(scope string, err error) error
		err  error
		want string
		is   error
	}{
		{"a bad option", fault.Opening, native, "kv/x: new: invalid: dial tcp: refused", fault.Invalid},
		{"an opener's kind", fault.Opening, fault.Mark(fault.Unavailable, native), "kv/x: new: backend unavailable: dial tcp: refused", fault.Unavailable},
		{"no kind", fault.Unanswered, native, "kv/x: new: backend unavailable: dial tcp: refused", fault.Unavailable},
		{"New's own deadline", fault.Unanswered, context.DeadlineExceeded, "kv/x: new: backend unavailable: no answer in time: context deadline exceeded", fault.Unavailable},
		{"a refusal", fault.Unanswered, fault.Mark(fault.Denied, native), "kv/x: new: denied: dial tcp: refused", fault.Denied},
		{"marked twice", fault.Unanswered, fault.Mark(fault.Unavailable, fault.Mark(fault.Unavailable, native)), "kv/x: new: backend unavailable: dial tcp: refused", fault.Unavailable},
		{"marked deep inside", fault.Unanswered, fmt.Errorf("at a: %w", fault.Mark(fault.Unavailable, native)), "kv/x: new: backend unavailable: at a: dial tcp: refused", fault.Unavailable},
		{"a word of its kind", fault.Opening, fmt.Errorf("the name is invalid: %w", native), "kv/x: new: invalid: the name is invalid: dial tcp: refused", fault.Invalid},
		{"several lines", fault.Unanswered, errors.Join(native, io.EOF), "kv/x: new: backend unavailable: dial tcp: refused; EOF", fault.Unavailable},
	} {
		err := c.form("kv/x", c.err)
		if err.Error() != c.want || !errors.Is(err, c.is) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, err, c.want)
		}
		if c.err != context.DeadlineExceeded && !errors.Is(err, native) {
			t.Errorf("%s: the cause is lost in %v", c.name, err)
		}
	}
}
