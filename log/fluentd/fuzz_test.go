package fluentd

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

// What a server sends is decoded or refused, within bounds.
func FuzzDecode(f *testing.F) {
	f.Add(appendString(appendString(appendMap(nil, 1), "ack"), "abc"))
	f.Add(appendString(appendArray(nil, 2), "HELO"))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0xc6, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := decode(b, 0)
		if err == nil && len(rest) >= len(b) {
			t.Fatalf("%x gave %v without reading anything", b, v)
		}
	})
}

// A record of any text is read back as it was written.
func FuzzEncoding(f *testing.F) {
	f.Add("message", "key", "value", int64(-1), 1.5)
	f.Add("", "level", "\xff\x00", int64(1<<62), 0.0)
	f.Fuzz(func(t *testing.T, message, key, value string, n int64, x float64) {
		b := encoding{}.Append(nil, &log.Record{Time: time.Unix(1, 2), Message: message, Attrs: []slog.Attr{
			slog.String(key, value), slog.Int64("n", n), slog.Float64("x", x), slog.Group("g", slog.String("k", value))}})
		if b[0] != 0x92 || b[1] != 0xd7 || b[2] != 0 {
			t.Fatalf("begins with %x", b[:3])
		}
		v, rest, err := decode(b[11:], 0)
		if len(value) > maxAnswer || len(message) > maxAnswer || len(key) > maxAnswer {
			return
		}
		if err != nil || len(rest) != 0 {
			t.Fatalf("%x: %v, %d bytes left", b, err, len(rest))
		}
		m := v.(map[string]any)
		if key != "n" && !reflect.DeepEqual(m["n"], n) {
			t.Fatalf("%v read back as %v", n, m["n"])
		}
	})
}
