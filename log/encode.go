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
	// head begins a record: all but the attributes. It takes the fields one by one,
	// so that none of them is put on the heap for the call.
	head(dst []byte, t time.Time, l slog.Level, logger, message, source string) []byte
	// attr appends one attribute below groups. Its value is resolved and no group.
	attr(dst []byte, groups []string, a slog.Attr) []byte
	// open begins a group below groups.
	open(dst []byte, groups []string, group string) []byte
	shut(dst []byte) []byte
	end(dst []byte) []byte
}

// appendRecord is Append of every encoding.
func appendRecord(e incremental, dst []byte, r *Record) []byte {
	dst = e.head(dst, r.Time, r.Level, r.Logger, r.Message, r.Source)
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
	dst = e.open(dst, groups, a.Key)
	groups = append(groups, a.Key)
	for _, b := range a.Value.Group() {
		dst = appendTree(e, dst, groups, b)
	}
	return e.shut(dst)
}

// second is the text of the second that was last formatted.
type second struct {
	unix int64
	text [20]byte // with the point behind it
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
		u.AppendFormat(s.text[:0], "2006-01-02T15:04:05.")
		lastSecond.Store(s)
	}
	dst = append(dst, s.text[:]...)
	n := uint(t.Nanosecond())
	switch decimals {
	case 6:
		n /= 1000
		dst = append(dst, pairs[n/10000*2], pairs[n/10000*2+1], pairs[n/100%100*2], pairs[n/100%100*2+1], pairs[n%100*2], pairs[n%100*2+1])
	default:
		for unit := uint(1e8); decimals > 0; decimals-- {
			dst = append(dst, byte('0'+n/unit%10))
			unit /= 10
		}
	}
	return append(dst, 'Z')
}

// pairs is the decimal digits of 0 to 99, two for each.
const pairs = "0001020304050607080910111213141516171819" +
	"2021222324252627282930313233343536373839" +
	"4041424344454647484950515253545556575859" +
	"6061626364656667686970717273747576777879" +
	"8081828384858687888990919293949596979899"

// severities are the short names of OpenTelemetry's severity numbers 1 to 24,
// four for each of slog's levels.
var severities = [...]string{
	"TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO", "INFO2", "INFO3", "INFO4",
	"WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2", "FATAL3", "FATAL4",
}

// levelName returns the name of a level as collectors know it: slog's names,
// FATAL, and INFO2 for one above INFO.
func levelName(l slog.Level) string { return severities[severity(l)] }

// severity is the index of a level's name.
func severity(l slog.Level) int { return min(max(int(l-slog.LevelDebug)+4, 0), len(severities)-1) }

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
