package log

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// JSON is one object a line: {"time":…,"level":…,"logger":…,"msg":…,…}. Levels
// have the names of OpenTelemetry's severities: INFO, and INFO2 to INFO4 for the
// three above it, up to FATAL4. Values
// are written as slog's JSONHandler does: durations in nanoseconds, times as
// RFC 3339, errors as their text, others by encoding/json.
func JSON() Encoding { return jsonLines }

// JSONKeys is JSON with other keys for the record's own fields, and with fixed
// before the rest, such as `"@version":"1"`. decimals is of the seconds of its
// time, 0 to 9.
func JSONKeys(name string, k Keys, decimals int, fixed string) Encoding {
	return newJSON(name, k, min(max(decimals, 0), 9), fixed)
}

// Keys are the keys of a record's own fields.
type Keys struct{ Time, Level, Logger, Message, Source string }

var jsonLines = newJSON("json", Keys{"time", "level", "logger", "msg", "source"}, 6, "")

type jsonEncoding struct {
	name                          string
	keys                          Keys
	time, logger, message, source string // as they are written
	levels                        [len(severities)]string
	plainly                       [len(severities)]string // levels with message behind, for records with neither logger nor source
	decimals                      int
	lengths                       uint64 // bit n: a key of the record's own has n bytes
}

func newJSON(name string, k Keys, decimals int, fixed string) *jsonEncoding {
	quote := func(key string) string { return string(appendString(nil, key)) + ":" }
	if fixed != "" {
		fixed = "," + fixed
	}
	e := &jsonEncoding{
		name: name, keys: k, decimals: decimals, time: "{" + quote(k.Time) + `"`,
		logger: "," + quote(k.Logger), message: "," + quote(k.Message), source: "," + quote(k.Source),
	}
	for _, key := range []string{k.Time, k.Level, k.Message, k.Logger, k.Source} {
		e.lengths |= 1 << min(len(key), 63)
	}
	for i, severity := range severities {
		e.levels[i] = fixed + "," + quote(k.Level) + `"` + severity + `"`
		e.plainly[i] = e.levels[i] + e.message
	}
	return e
}

func (e *jsonEncoding) Name() string                        { return e.name }
func (e *jsonEncoding) Append(dst []byte, r *Record) []byte { return appendRecord(e, dst, r) }

func (e *jsonEncoding) head(dst []byte, t time.Time, l slog.Level, logger, message, source string) []byte {
	if !t.IsZero() {
		dst = append(appendTime(append(dst, e.time...), t, e.decimals), '"')
	} else {
		dst = append(dst, '{')
	}
	level, start := severity(l), len(dst)
	if logger == "" && source == "" {
		dst = append(dst, e.plainly[level]...)
	} else {
		dst = append(dst, e.levels[level]...)
		if logger != "" {
			dst = appendString(append(dst, e.logger...), logger)
		}
		if source != "" {
			dst = appendString(append(dst, e.source...), source)
		}
		dst = append(dst, e.message...)
	}
	dst = appendString(dst, message)
	if t.IsZero() { // nothing is ahead of the first comma
		dst = append(dst[:start], dst[start+1:]...)
	}
	return dst
}

func (e *jsonEncoding) open(dst []byte, groups []string, group string) []byte {
	return append(appendString(comma(dst), e.key(groups, group)), ':', '{')
}

func (e *jsonEncoding) shut(dst []byte) []byte { return append(dst, '}') }
func (e *jsonEncoding) end(dst []byte) []byte  { return append(dst, '}', '\n') }

// comma appends one unless an object has just been opened: no value ends in a
// brace that opens. What begins with a comma is put behind a head.
func comma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] == '{' {
		return dst
	}
	return append(dst, ',')
}

func (e *jsonEncoding) attr(dst []byte, groups []string, a slog.Attr) []byte {
	dst = append(appendString(comma(dst), e.key(groups, a.Key)), ':')
	return appendJSONValue(dst, a.Value)
}

// key is the name of an attribute or a group below groups: never one of the
// record's own, since no JSON reader takes a name twice in the same way.
func (e *jsonEncoding) key(groups []string, key string) string {
	if len(groups) == 0 && e.own(key) {
		return "attr." + key
	}
	return key
}

// own reports whether a key is one of the record's own.
func (e *jsonEncoding) own(key string) bool {
	return e.lengths&(1<<min(len(key), 63)) != 0 &&
		(key == e.keys.Time || key == e.keys.Level || key == e.keys.Message || key == e.keys.Logger || key == e.keys.Source)
}

func appendJSONValue(dst []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendString(dst, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(dst, v.Uint64(), 10)
	case slog.KindFloat64:
		return appendJSONFloat(dst, v.Float64())
	case slog.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case slog.KindDuration:
		return strconv.AppendInt(dst, int64(v.Duration()), 10)
	case slog.KindTime:
		return appendJSONTime(dst, v.Time())
	}
	return appendJSONAny(dst, v.Any())
}

// Between them a time is of the years 0 to 9999 in every zone.
const (
	firstSecond      = -62167219200 + 2*86400
	lastSecondOf9999 = 253402300799 - 2*86400
)

// appendJSONTime writes RFC 3339 in the time's own zone, as encoding/json does.
func appendJSONTime(dst []byte, t time.Time) []byte {
	if s := t.Unix(); s < firstSecond || s > lastSecondOf9999 {
		if y := t.Year(); y < 0 || y > 9999 {
			return appendString(dst, t.String())
		}
	}
	return append(t.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

func appendJSONFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"+Inf"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Inf"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

type jsonBuffer struct {
	bytes.Buffer
	*json.Encoder
}

var jsonBuffers = sync.Pool{New: func() any {
	b := new(jsonBuffer)
	b.Encoder = json.NewEncoder(&b.Buffer)
	b.SetEscapeHTML(false)
	return b
}}

// appendJSONAny writes what has no kind of its own. What a value's methods do
// wrong, panics too, ends up in the record.
func appendJSONAny(dst []byte, v any) (out []byte) {
	defer func() {
		if p := recover(); p != nil {
			out = appendString(dst, fmt.Sprintf("!PANIC: %v", p))
		}
	}()
	if _, ok := v.(json.Marshaler); !ok {
		if err, ok := v.(error); ok {
			return appendString(dst, err.Error())
		}
	}
	b := jsonBuffers.Get().(*jsonBuffer)
	defer jsonBuffers.Put(b)
	b.Reset()
	if err := b.Encode(v); err != nil {
		return appendString(dst, fmt.Sprintf("!ERROR: %v", err))
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte{'\n'})...)
}

// plain marks the bytes that a JSON string holds as they are.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\' && c != 0x7f
	}
	return t
}()

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	if n := plainRun(s); n < len(s) {
		return appendEscaped(dst, s, n)
	}
	return append(append(append(dst, '"'), s...), '"')
}

// plainRun returns how many bytes of s are plain, from the first. It looks at
// eight at a time (Hacker's Delight, section 6-1: find the first byte of a value).
func plainRun(s string) (n int) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; n+8 <= len(s); n += 8 {
		b := s[n : n+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, slash := x^ones*'"', x^ones*'\\'
		// The top bit of a byte is set if it is over 0x7e, under a space, a quote or
		// a backslash. Carries may set more; the loop below looks closer.
		if (x|(x+ones)|(x-ones*' ')|(quote-ones)|(slash-ones))&tops != 0 {
			break
		}
	}
	for n < len(s) && plain[s[n]] {
		n++
	}
	return n
}

// appendEscaped is appendString of an s whose first n bytes are plain.
func appendEscaped(dst []byte, s string, n int) []byte {
	dst = append(dst, '"')
	start := 0
	for i := n; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			dst = append(dst, s[start:i]...)
			if size == 1 {
				dst = append(dst, "\uFFFD"...)
			} else { // line ends to some readers of lines
				dst = append(append(dst, `\u202`...), hexDigits[r&15])
			}
			start = i + size
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}
