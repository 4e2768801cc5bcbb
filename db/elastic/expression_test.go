package elastic

import (
	"reflect"
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
	f.Add("", "\x00")
	f.Add("\x00", "\x00\x00")
	f.Add("a\x01", "a\x00")
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

// A value that a range can have is compared by a range within the type's terms.
func TestShortValuesAreCompared(t *testing.T) {
	for op, want := range map[db.Operator]object{
		db.OpLess:           {"range": object{"f": object{"gte": "a", "lt": "v"}}},
		db.OpLessOrEqual:    {"range": object{"f": object{"gte": "a", "lte": "v"}}},
		db.OpGreater:        {"range": object{"f": object{"lt": "z", "gt": "v"}}},
		db.OpGreaterOrEqual: {"range": object{"f": object{"lt": "z", "gte": "v"}}},
	} {
		if got := compare("f", op, "v", "a", "z"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", op, got, want)
		}
		for n, span := range map[int]bool{maxAutomaton: true, maxAutomaton + 1: false} {
			if _, ok := compare("f", op, strings.Repeat("v", n), "a", "z")["range"]; ok != span {
				t.Errorf("%s with %d bytes: a range alone %v, want %v", op, n, ok, span)
			}
		}
	}
}
