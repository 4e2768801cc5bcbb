package conn

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

func TestOptionsChangeACopy(t *testing.T) {
	type config struct{ n int }
	type option func(*config) error
	base := config{1}
	opts := []option{func(c *config) error { c.n++; return nil }, func(c *config) error { c.n *= 10; return nil }}
	for range 2 {
		if c, err := Apply(base, opts); c.n != 20 || err != nil {
			t.Errorf("got %+v, %v; want the options once, in their order", c, err)
		}
	}
	if _, err := Apply(base, []option{nil}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a nil option: %v", err)
	}
	refused := errors.New("refused")
	if _, err := Apply(base, []option{func(*config) error { return refused }, nil}); err != refused {
		t.Errorf("got %v, want the first error as it is", err)
	}
}
