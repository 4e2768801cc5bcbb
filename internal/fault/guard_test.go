package fault_test

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

func TestGuardMakesAPanicAnError(t *testing.T) {
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		f    func() error
		want string
		is   error
	}{
		"nothing":          {func() error { return nil }, "", nil},
		"an error":         {func() error { return bad }, "bad", bad},
		"panics":           {func() error { panic("oh") }, "panic: oh", nil},
		"panics, an error": {func() error { panic(bad) }, "panic: bad", bad},
	} {
		err := fault.Guard(c.f)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
