package fault_test

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

// said is an error whose nil pointer can't say what it is.
type said struct{ text string }

func (s *said) Error() string { return s.text }

func TestGuardMakesAPanicAnError(t *testing.T) {
	bad := errors.New("bad")
	var none *said
	for name, c := range map[string]struct {
		f    func() error
		want string
		is   error
	}{
		"nothing":               {func() error { return nil }, "", nil},
		"an error":              {func() error { return bad }, "bad", bad},
		"panics":                {func() error { panic("oh") }, "panic: oh", nil},
		"panics, an error":      {func() error { panic(bad) }, "panic: bad", bad},
		"a pointer":             {func() error { return &said{"bad"} }, "bad", nil},
		"a nil pointer":         {func() error { return none }, "panic: runtime error: invalid memory address or nil pointer dereference", nil},
		"panics, a nil pointer": {func() error { panic(none) }, "panic: <nil>", nil},
	} {
		err := fault.Guard(c.f)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
