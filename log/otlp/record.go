package otlp

import (
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/log"
)

// encoding is the name of the logger, its length before it, and the record as
// a field of ScopeLogs.
type encoding struct{}

func (encoding) Name() string { return "otlp" }

func (encoding) Append(b []byte, r *log.Record) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.Logger)))
	b = append(b, r.Logger...)
	b, start := otlp.Open(b, 2)
	if !r.Time.IsZero() {
		b = otlp.Fixed64(b, 1, uint64(r.Time.UnixNano()))
		b = otlp.Fixed64(b, 11, uint64(r.Time.UnixNano()))
	} else {
		b = otlp.Fixed64(b, 11, uint64(time.Now().UnixNano()))
	}
	b = otlp.Varint(b, 2, uint64(min(max(int(r.Level)+9, 1), 24)))
	if r.Level == log.LevelFatal {
		b = otlp.String(b, 3, "FATAL")
	} else {
		b = otlp.String(b, 3, r.Level.String())
	}
	b, body := otlp.Open(b, 5)
	b = otlp.Shut(otlp.String(b, 1, r.Message), body)
	if file, line, ok := cutSource(r.Source); ok {
		b = otlp.Attribute(b, 6, "code.file.path", slog.StringValue(file))
		b = otlp.Attribute(b, 6, "code.line.number", slog.IntValue(line))
	}
	for i := range r.Attrs {
		a := &r.Attrs[i]
		var id [16]byte
		switch {
		case a.Key == "trace_id" && parse(id[:], a.Value):
			b = otlp.Bytes(b, 9, id[:])
		case a.Key == "span_id" && parse(id[:8], a.Value):
			b = otlp.Bytes(b, 10, id[:8])
		case a.Key == "trace_flags" && parse(id[:1], a.Value):
			b = otlp.Fixed32(b, 8, uint32(id[0]))
		default:
			b = otlp.Attributes(b, 6, r.Attrs[i:i+1])
		}
	}
	return otlp.Shut(b, start)
}

// parse reads an id of exactly as many hexadecimal digits as it has.
func parse(id []byte, v slog.Value) bool {
	if v.Kind() != slog.KindString || len(v.String()) != 2*len(id) {
		return false
	}
	_, err := hex.Decode(id, []byte(v.String()))
	return err == nil
}

func cutSource(s string) (file string, line int, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", 0, false
	}
	line, err := strconv.Atoi(s[i+1:])
	return s[:i], line, err == nil
}
