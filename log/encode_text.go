package log

import (
	"encoding"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Logfmt is one line of key=value pairs: time=… level=… logger=… msg=… …. Keys
// in groups are joined by dots, values are quoted where they need it.
func Logfmt() Encoding { return logfmt{} }

// Human is for eyes: local time, level, logger and message, then pairs as in
// Logfmt. With color the level stands out on a terminal.
func Human(color bool) Encoding { return human{color: color} }

type logfmt struct{}

func (logfmt) Name() string                          { return "logfmt" }
func (e logfmt) Append(dst []byte, r *Record) []byte { return appendRecord(e, dst, r) }
func (logfmt) shut(dst []byte) []byte                { return dst }
func (logfmt) end(dst []byte) []byte                 { return append(dst, '\n') }

func (logfmt) open(dst []byte, _ []string, _ string) []byte { return dst }

func (logfmt) head(dst []byte, t time.Time, l slog.Level, logger, message, source string) []byte {
	if !t.IsZero() {
		dst = append(appendTime(append(dst, "time="...), t, 6), ' ')
	}
	dst = append(append(dst, "level="...), levelName(l)...)
	if logger != "" {
		dst = appendText(append(dst, " logger="...), logger)
	}
	if source != "" {
		dst = appendText(append(dst, " source="...), source)
	}
	return appendText(append(dst, " msg="...), message)
}

func (logfmt) attr(dst []byte, groups []string, a slog.Attr) []byte {
	if len(groups) == 0 {
		switch a.Key {
		case "time", "level", "msg", "logger", "source":
			a.Key = "attr." + a.Key
		}
	}
	return appendPair(dst, groups, a)
}

type human struct {
	logfmt
	color bool
}

func (e human) Name() string {
	if e.color {
		return "human color"
	}
	return "human"
}

func (e human) Append(dst []byte, r *Record) []byte { return appendRecord(e, dst, r) }

func (e human) attr(dst []byte, groups []string, a slog.Attr) []byte {
	return appendPair(dst, groups, a)
}

func (e human) head(dst []byte, t time.Time, l slog.Level, logger, message, source string) []byte {
	if !t.IsZero() {
		dst = append(t.Local().AppendFormat(dst, "15:04:05.000"), ' ')
	}
	name := levelName(l)
	if e.color {
		dst = append(dst, "\x1b["...)
		switch {
		case l >= slog.LevelError:
			dst = append(dst, "31m"...)
		case l >= slog.LevelWarn:
			dst = append(dst, "33m"...)
		case l >= slog.LevelInfo:
			dst = append(dst, "32m"...)
		default:
			dst = append(dst, "90m"...)
		}
	}
	dst = append(dst, name...)
	if e.color {
		dst = append(dst, "\x1b[0m"...)
	}
	for range max(1, 6-len(name)) {
		dst = append(dst, ' ')
	}
	if logger != "" {
		dst = append(appendPrintable(dst, logger), ": "...)
	}
	dst = appendPrintable(dst, message)
	if source != "" {
		dst = append(appendPrintable(append(dst, " ("...), source), ')')
	}
	return dst
}

// appendPrintable appends s on one line.
func appendPrintable(dst []byte, s string) []byte {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		q := strconv.AppendQuote(nil, s)
		return append(dst, q[1:len(q)-1]...)
	}
	return append(dst, s...)
}

// AppendPairs appends attributes as Logfmt does, a space before each, for
// encodings whose text they are a part of.
func AppendPairs(dst []byte, attrs []slog.Attr) []byte {
	var groups [8]string
	for _, a := range attrs {
		dst = appendTree(human{}, dst, groups[:0], a)
	}
	return dst
}

// appendPair appends " group.key=value".
func appendPair(dst []byte, groups []string, a slog.Attr) []byte {
	dst = append(dst, ' ')
	for _, g := range groups {
		dst = append(appendKey(dst, g), '.')
	}
	dst = append(appendKey(dst, a.Key), '=')
	v := a.Value
	switch v.Kind() {
	case slog.KindString:
		return appendText(dst, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(dst, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(dst, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case slog.KindDuration:
		return append(dst, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(dst, time.RFC3339Nano)
	}
	return appendText(dst, textOf(v.Any()))
}

// textOf is what has no kind of its own. What a value's methods do wrong,
// panics too, ends up in the record.
func textOf(v any) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprintf("!PANIC: %v", p)
		}
	}()
	switch v := v.(type) {
	case error:
		return v.Error()
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		if err != nil {
			return "!ERROR: " + err.Error()
		}
		return string(b)
	case []byte:
		return string(v)
	}
	return fmt.Sprintf("%+v", v)
}

// appendKey appends a key without what ends one.
func appendKey(dst []byte, key string) []byte {
	if key == "" {
		return append(dst, '_')
	}
	for _, r := range key {
		if r <= ' ' || r == '=' || r == '"' || r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '_'
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// appendText appends a value, quoted if it must be.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '"', '"')
	}
	for i := range len(s) {
		if c := s[i]; !plain[c] || c == ' ' || c == '=' {
			if c >= utf8.RuneSelf {
				if !strings.ContainsFunc(s[i:], func(r rune) bool {
					return r == utf8.RuneError || !unicode.IsPrint(r) || unicode.IsSpace(r) || r == '=' || r == '"' || r == '\\'
				}) {
					break
				}
			}
			return strconv.AppendQuote(dst, s)
		}
	}
	return append(dst, s...)
}
