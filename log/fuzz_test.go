package log_test

import (
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/log"
)

// Whatever is logged, a record is one line, and JSON that says the same.
func FuzzEncodings(f *testing.F) {
	f.Add("message", "key", "value", 1.5, int64(1), "group")
	f.Add("\"\\\n\r\t\x00\x7f", "msg", "\xff\u2028\u2029\u0085", math.Inf(-1), int64(math.MinInt64), "")
	f.Add("0", "0", "0", 0.0, int64(-1), "\n")
	f.Add("", "", "=", 1e21, int64(0), "a b")
	f.Fuzz(func(t *testing.T, message, key, value string, x float64, n int64, group string) {
		r := &log.Record{Time: time.Unix(0, n), Level: slog.Level(n % 20), Logger: group, Message: message, Source: value, Attrs: []slog.Attr{
			slog.String(key, value), slog.Float64("x", x), slog.Int64("n", n), slog.Any("any", map[string]any{key: value}),
			slog.Group(group, slog.String(key, value), slog.Time("t", time.Unix(n, 0)))}}
		line := log.JSON().Append(nil, r)
		if strings.Count(string(line), "\n") != 1 || line[len(line)-1] != '\n' || !utf8.Valid(line) {
			t.Fatalf("%q", line)
		}
		d := json.NewDecoder(strings.NewReader(string(line)))
		d.UseNumber()
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if got := m["msg"]; got != strings.ToValidUTF8(message, "\uFFFD") && !oddRuns(message) {
			t.Fatalf("message %q is %q", message, got)
		}
		for _, e := range []log.Encoding{log.Logfmt(), log.Human(true)} {
			line := e.Append(nil, r)
			if strings.Count(string(line), "\n") != 1 || line[len(line)-1] != '\n' {
				t.Fatalf("%s: %q", e.Name(), line)
			}
		}
	})
}

// oddRuns reports whether s has bytes that are no UTF-8 side by side, which
// become one U+FFFD each here and one together in strings.ToValidUTF8.
func oddRuns(s string) bool {
	before := false
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		bad := r == utf8.RuneError && size == 1
		if bad && before {
			return true
		}
		before = bad
		s = s[size:]
	}
	return false
}
