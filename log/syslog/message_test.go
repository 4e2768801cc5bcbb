package syslog

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

func TestFieldsArePrintable(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"", 5, "-"}, {"a", 5, "a"}, {"!~", 5, "!~"}, {" \x7f\x1f\n", 5, "____"}, {"ä", 5, "__"},
		{"abcd", 5, "abcd"}, {"abcde", 5, "abcde"}, {"abcdef", 5, "abcde"},
	} {
		if got := field(c.s, c.n); got != c.want {
			t.Errorf("%q in %d bytes is %q, want %q", c.s, c.n, got, c.want)
		}
	}
}

func TestMessages(t *testing.T) {
	e := newEncoding(&options{facility: 3, host: "h", app: "a"})
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	head := fmt.Sprintf("h a %d ", os.Getpid())
	for name, c := range map[string]struct {
		r    log.Record
		want string
	}{
		"no time":    {log.Record{Message: "m"}, "<30>1 - " + head + "- - m"},
		"a time":     {log.Record{Time: at, Message: "m"}, "<30>1 2026-01-02T02:04:05.678901Z " + head + "- - m"},
		"a logger":   {log.Record{Logger: "db pool", Message: "m"}, "<30>1 - " + head + "db_pool - m"},
		"characters": {log.Record{Message: "a b\tc\nd\x1fe~ä"}, "<30>1 - " + head + "- - a b\tc d e~ä"},
		"a source":   {log.Record{Message: "m", Source: "a.go:1", Attrs: []slog.Attr{slog.Int("k", 1)}}, "<30>1 - " + head + "- - m k=1 source=a.go:1"},
		"no source":  {log.Record{Message: "m", Attrs: []slog.Attr{slog.Int("k", 1)}}, "<30>1 - " + head + "- - m k=1"},
		"debug":      {log.Record{Level: slog.LevelInfo - 1}, "<31>1 - " + head + "- - "},
		"info":       {log.Record{Level: slog.LevelWarn - 1}, "<30>1 - " + head + "- - "},
		"warn":       {log.Record{Level: slog.LevelWarn}, "<28>1 - " + head + "- - "},
		"almost":     {log.Record{Level: slog.LevelError - 1}, "<28>1 - " + head + "- - "},
		"error":      {log.Record{Level: slog.LevelError}, "<27>1 - " + head + "- - "},
		"no fatal":   {log.Record{Level: log.LevelFatal - 1}, "<27>1 - " + head + "- - "},
		"fatal":      {log.Record{Level: log.LevelFatal}, "<26>1 - " + head + "- - "},
	} {
		if got := string(e.Append(nil, &c.r)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"abc", 4, "abc"}, {"abc", 3, "abc"}, {"abc", 2, "ab"}, {"aä", 2, "a"}, {"aä", 3, "aä"}, {"a😀b", 4, "a"}, {"a😀b", 5, "a😀"},
		{strings.Repeat("\x80", 5), 3, ""}, // no text at all
	} {
		if got := string(cut([]byte(c.s), c.n)); got != c.want {
			t.Errorf("%q in %d bytes is %q, want %q", c.s, c.n, got, c.want)
		}
	}
}
