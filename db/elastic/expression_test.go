package elastic

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/micro/go-platform/db"
)

// holds is what a filter must agree with.
func holds(op db.Operator, s, v string) bool {
	switch op {
	case db.OpLess:
		return s < v
	case db.OpLessOrEqual:
		return s <= v
	case db.OpGreater:
		return s > v
	}
	return s >= v
}

// The expressions used here mean in Go what they mean in Lucene.
func matches(t *testing.T, e, s string) bool {
	t.Helper()
	re, err := regexp.Compile("(?s)^(?:" + e + ")$")
	if err != nil {
		t.Fatalf("%q: %v", e, err)
	}
	return re.MatchString(s)
}

func FuzzTailComparesAsBytesDo(f *testing.F) {
	f.Add("abc", "abd")
	f.Add("", "a")
	f.Add("a\ud7ff", "a\ue000")
	f.Add("\U0010ffff", "\U0010ffff\x00")
	f.Add("a.*[]-^\\\"", "a.*[]-^\\#")
	f.Add("日本", "日")
	f.Fuzz(func(t *testing.T, v, s string) {
		if !utf8.ValidString(v) || !utf8.ValidString(s) || v == "" || len(v) > 100 {
			return
		}
		for op := range ranges {
			for _, s := range []string{s, v, v + s, v[:len(v)/2]} {
				if !utf8.ValidString(s) {
					continue
				}
				if e := tail([]rune(v), op); matches(t, e, s) != holds(op, s, v) {
					t.Errorf("%q %s %q: %q says %v", s, op, v, e, matches(t, e, s))
				}
			}
		}
		if !matches(t, literal(s), s) || matches(t, literal(s), s+"x") {
			t.Errorf("literal(%q) = %q does not match it alone", s, literal(s))
		}
		if next := successor(v); strings.Trim(v, "\U0010ffff") != "" && (next <= v || strings.HasPrefix(next, v)) {
			t.Errorf("successor(%q) = %q", v, next)
		}
	})
}
