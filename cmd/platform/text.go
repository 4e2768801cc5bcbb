package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// color is an attribute of a terminal, by its number in ECMA-48 (SGR).
type color int

const (
	bold   color = 1
	dim    color = 2
	red    color = 31
	green  color = 32
	yellow color = 33
	cyan   color = 36
)

func (c color) paint(s string) string {
	if s == "" || c == 0 {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", int(c), s)
}

// painted is a cell with a colour, where there are colours.
type painted struct {
	color color
	text  string
}

// printable quotes text that would do something else to a terminal than show.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// text is a value as a terminal can show it: lines and tabs stay if nothing else
// is odd about it.
func text(b []byte) string {
	s := string(b)
	if strings.IndexFunc(s, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r) && r != '\n' && r != '\t'
	}) >= 0 {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(s, "\n")
}

// field is a text that has no tab and no line break: Go's quotes are around what
// has one, and around what begins with a quote, so that it can be told.
func field(s string) string {
	if strings.HasPrefix(s, `"`) {
		return strconv.Quote(s)
	}
	return printable(s)
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(0, n-1)]) + "…"
}

// size is a number of bytes.
func size(n int) string {
	switch {
	case n >= 1<<20:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " B"
}

// brief is a duration to two figures or so.
func brief(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond / 10).String()
	case d < time.Minute:
		return d.Round(time.Second / 10).String()
	case d < time.Hour:
		return noZero(d.Round(time.Second).String())
	case d < 48*time.Hour:
		return noZero(d.Round(time.Minute).String())
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// noZero leaves out seconds that are 0: "2m" of "2m0s".
func noZero(s string) string {
	if strings.HasSuffix(s, "m0s") {
		return strings.TrimSuffix(s, "0s")
	}
	return s
}

// when is a time for a person in a table, and for scripts in RFC 3339.
func (c *call) when(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case !c.isTable():
		return t.UTC().Format(time.RFC3339Nano)
	}
	t = t.Local()
	if time.Since(t).Abs() < 12*time.Hour {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// pairsText is "a=1,b=2".
func pairsText(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}
