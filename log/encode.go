package log

import (
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// incremental is an Encoding of this package: it can write attributes ahead of the
// record that they belong to.
type incremental interface {
	Encoding
	head(dst []byte, r *Record) []byte // all but the attributes
	// attr appends one attribute below groups. Its value is resolved and no group.
	attr(dst []byte, groups []string, a slog.Attr) []byte
	open(dst []byte, group string) []byte
	shut(dst []byte) []byte
	end(dst []byte) []byte
}

// appendRecord is Append of every encoding.
func appendRecord(e incremental, dst []byte, r *Record) []byte {
	dst = e.head(dst, r)
	var groups [8]string
	for _, a := range r.Attrs {
		dst = appendTree(e, dst, groups[:0], a)
	}
	return e.end(dst)
}

func appendTree(e incremental, dst []byte, groups []string, a slog.Attr) []byte {
	if a.Value.Kind() != slog.KindGroup {
		return e.attr(dst, groups, a)
	}
	dst = e.open(dst, a.Key)
	groups = append(groups, a.Key)
	for _, b := range a.Value.Group() {
		dst = appendTree(e, dst, groups, b)
	}
	return e.shut(dst)
}

// second is the text of the second that was last formatted.
type second struct {
	unix int64
	text [19]byte
}

var lastSecond atomic.Pointer[second] // a cache: any value of it is right

// appendTime appends t in UTC as RFC 3339 with the given number of decimals.
func appendTime(dst []byte, t time.Time, decimals int) []byte {
	unix := t.Unix()
	s := lastSecond.Load()
	if s == nil || s.unix != unix {
		u := t.UTC()
		if y := u.Year(); y < 0 || y > 9999 {
			return u.AppendFormat(dst, time.RFC3339Nano)
		}
		s = &second{unix: unix}
		u.AppendFormat(s.text[:0], "2006-01-02T15:04:05")
		lastSecond.Store(s)
	}
	dst = append(append(dst, s.text[:]...), '.')
	n := t.Nanosecond()
	var digits [9]byte
	for i := 8; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(append(dst, digits[:decimals]...), 'Z')
}

// severities are the short names of OpenTelemetry's severity numbers 1 to 24,
// four for each of slog's levels.
var severities = [...]string{
	"TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO", "INFO2", "INFO3", "INFO4",
	"WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2", "FATAL3", "FATAL4",
}

// levelName returns the name of a level as collectors know it: slog's names,
// FATAL, and INFO2 for one above INFO.
func levelName(l slog.Level) string {
	return severities[min(max(int(l-slog.LevelDebug)+4, 0), len(severities)-1)]
}

// sources caches what program counters stand for.
var sources sync.Map // of uintptr to string

// sourceOf returns "dir/file.go:12".
func sourceOf(pc uintptr) string {
	if pc == 0 {
		return ""
	}
	if s, ok := sources.Load(pc); ok {
		return s.(string)
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	if frame.File == "" {
		return ""
	}
	dir, file := filepath.Split(frame.File)
	s := filepath.Base(dir) + "/" + file + ":" + strconv.Itoa(frame.Line)
	sources.Store(pc, s)
	return s
}
