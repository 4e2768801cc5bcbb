package fronts

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
)

func TestApplyStopsAtTheFirstError(t *testing.T) {
	type option func(*[]int) error
	add := func(n int) option { return func(l *[]int) error { *l = append(*l, n); return nil } }
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		opts []option
		want error
		n    int
	}{
		"none": {}, "all": {[]option{add(1), add(2)}, nil, 2},
		"nil":   {[]option{add(1), nil, add(2)}, fault.Invalid, 1},
		"error": {[]option{add(1), func(*[]int) error { return bad }, add(2)}, bad, 1},
	} {
		var l []int
		if err := Apply(&l, c.opts); !errors.Is(err, c.want) || len(l) != c.n {
			t.Errorf("%s: %v after %d options, want %v after %d", name, err, len(l), c.want, c.n)
		}
	}
}

func TestCutKeepsWholeCharacters(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{strings.Repeat("a", 65), strings.Repeat("a", 64) + "…"},
		{strings.Repeat("a", 63) + "ä!", strings.Repeat("a", 63) + "…"},
	} {
		if got := Cut(c.name); got != c.want || !utf8.ValidString(got) {
			t.Errorf("%q became %q", c.name, got)
		}
	}
}
