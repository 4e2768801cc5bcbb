package syslog

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"github.com/micro/go-platform/log"
)

// encoding is RFC 5424: <PRI>1 TIME HOST APP PID MSGID - MESSAGE.
type encoding struct {
	facility int
	name     string
	middle   string // host, application, process
}

func newEncoding(o *options) *encoding {
	e := &encoding{facility: o.facility}
	e.middle = " " + field(o.host, 255) + " " + field(o.app, 48) + " " + strconv.Itoa(os.Getpid()) + " "
	e.name = fmt.Sprintf("syslog %d%s", o.facility, e.middle)
	return e
}

// field is printable ASCII without spaces, "-" for nothing.
func field(s string, n int) string {
	b := make([]byte, 0, min(len(s), n))
	for i := 0; i < len(s) && len(b) < n; i++ {
		c := s[i]
		if c <= ' ' || c > '~' {
			c = '_'
		}
		b = append(b, c)
	}
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

func severity(l slog.Level) int {
	switch {
	case l >= log.LevelFatal:
		return 2
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

func (e *encoding) Name() string { return e.name }

func (e *encoding) Append(dst []byte, r *log.Record) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(8*e.facility+severity(r.Level)), 10)
	dst = append(dst, ">1 "...)
	if r.Time.IsZero() {
		dst = append(dst, '-')
	} else {
		dst = r.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
	}
	dst = append(append(dst, e.middle...), field(r.Logger, 32)...)
	dst = append(dst, " - "...)
	for _, c := range []byte(r.Message) { // a line end would be the message's end to some
		if c < ' ' && c != '\t' {
			c = ' '
		}
		dst = append(dst, c)
	}
	attrs := r.Attrs
	if r.Source != "" {
		attrs = append(attrs[:len(attrs):len(attrs)], slog.String("source", r.Source))
	}
	return log.AppendPairs(dst, attrs)
}
