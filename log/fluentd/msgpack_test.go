package fluentd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

// Heads are as short as the format allows, on both sides of each limit.
func TestHeads(t *testing.T) {
	for _, c := range []struct {
		append func(b []byte, n int) []byte
		n      int
		want   string
	}{
		{appendArray, 0, "90"}, {appendArray, 15, "9f"}, {appendArray, 16, "dc0010"}, {appendArray, 65535, "dcffff"}, {appendArray, 65536, "dd00010000"},
		{appendMap, 0, "80"}, {appendMap, 15, "8f"}, {appendMap, 16, "de0010"}, {appendMap, 65535, "deffff"}, {appendMap, 65536, "df00010000"},
		{appendStringHead, 0, "a0"}, {appendStringHead, 31, "bf"}, {appendStringHead, 32, "d920"}, {appendStringHead, 255, "d9ff"},
		{appendStringHead, 256, "da0100"}, {appendStringHead, 65535, "daffff"}, {appendStringHead, 65536, "db00010000"},
	} {
		if got := fmt.Sprintf("%x", c.append(nil, c.n)); got != c.want {
			t.Errorf("of %d: %s, want %s", c.n, got, c.want)
		}
	}
	for n, want := range map[int]string{0: "c400", 255: "c4ff", 256: "c50100", 65535: "c5ffff", 65536: "c600010000"} {
		if got := appendBin(nil, make([]byte, n)); fmt.Sprintf("%x", got[:len(got)-n]) != want {
			t.Errorf("%d bytes begin with %x, want %s", n, got[:len(got)-n], want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{
		0: "00", 127: "7f", 128: "cc80", 255: "ccff", 256: "cd0100", 65535: "cdffff", 65536: "ce00010000",
		math.MaxUint32: "ceffffffff", math.MaxUint32 + 1: "cf0000000100000000", math.MaxInt64: "cf7fffffffffffffff",
		-1: "ff", -32: "e0", -33: "d0df", -128: "d080", -129: "d1ff7f", -32768: "d18000", -32769: "d2ffff7fff",
		math.MinInt32: "d280000000", math.MinInt32 - 1: "d3ffffffff7fffffff", math.MinInt64: "d38000000000000000",
	} {
		b := appendInt(nil, n)
		if got := fmt.Sprintf("%x", b); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
		if v, rest, err := decode(b, 0); v != n || len(rest) != 0 || err != nil {
			t.Errorf("%d is read as %v, %x, %v", n, v, rest, err)
		}
	}
}

// within is v in so many arrays.
func within(n int, v []byte) []byte { return append(bytes.Repeat([]byte{0x91}, n), v...) }

func TestDecode(t *testing.T) {
	long := strings.Repeat("x", maxAnswer)
	nils := func(n int) []byte { return append(appendArray(nil, n), bytes.Repeat([]byte{0xc0}, n)...) }
	keys := func(n int) []byte {
		b := appendMap(nil, n)
		for i := range n {
			b = appendInt(appendString(b, fmt.Sprint(i)), 1)
		}
		return b
	}
	for name, c := range map[string]struct {
		text []byte
		want any
		err  error
	}{
		"nil":                    {[]byte{0xc0}, nil, nil},
		"false":                  {[]byte{0xc2}, false, nil},
		"true":                   {[]byte{0xc3}, true, nil},
		"what is never used":     {[]byte{0xc1}, nil, errFormat},
		"an extension":           {[]byte{0xd4, 0, 0}, nil, errFormat},
		"float32":                {[]byte{0xca, 0x3f, 0x80, 0, 0}, 1.0, nil},
		"float64":                {appendFloat(nil, 1.5), 1.5, nil},
		"bin":                    {appendBin(nil, []byte("ab")), "ab", nil},
		"a map":                  {appendInt(appendString(appendMap(nil, 1), "a"), 1), map[string]any{"a": int64(1)}, nil},
		"a key that is no text":  {appendInt(appendInt(appendMap(nil, 1), 1), 1), nil, errFormat},
		"text, the most":         {appendString(nil, long), long, nil},
		"text, too long":         {appendString(nil, long+"x"), nil, errFormat},
		"text, too long, begun":  {appendStringHead(nil, maxAnswer+1), nil, errFormat},
		"items, the most":        {nils(maxItems), make([]any, maxItems), nil},
		"items, too many":        {nils(maxItems + 1), nil, errFormat},
		"items, too many, begun": {appendArray(nil, maxItems+1), nil, errFormat},
		"keys, too many":         {keys(maxItems + 1), nil, errFormat},
		"keys, too many, begun":  {appendMap(nil, maxItems+1), nil, errFormat},
		"text, most":             {[]byte{0xdb, 0xff, 0xff, 0xff, 0xff}, nil, errFormat}, // more than an int has on 32 bits
		"items, most":            {[]byte{0xdd, 0xff, 0xff, 0xff, 0xff}, nil, errFormat},
		"keys, most":             {[]byte{0xdf, 0xff, 0xff, 0xff, 0xff}, nil, errFormat},
		"a bad key":              {append(appendMap(nil, 1), 0xc1), nil, errFormat},
		"a bad value":            {append(appendString(appendMap(nil, 1), "a"), 0xc1), nil, errFormat},
		"a bad item":             {append(appendArray(nil, 2), 0xc0, 0xc1), nil, errFormat},
		"deep":                   {within(maxDepth, []byte{1}), nested(maxDepth, int64(1)), nil},
		"too deep":               {within(maxDepth+1, []byte{1}), nil, errFormat},
		"nothing":                {nil, nil, errShort},
	} {
		v, rest, err := decode(c.text, 0)
		if !errors.Is(err, c.err) || err == nil && (len(rest) != 0 || !reflect.DeepEqual(v, c.want)) || err != nil && v != nil {
			t.Errorf("%s: %.60v, %d bytes left, %v, want %.60v, %v", name, v, len(rest), err, c.want, c.err)
		}
	}
	if v, _, err := decode(keys(maxItems), 0); err != nil || len(v.(map[string]any)) != maxItems {
		t.Errorf("a map of the most keys: %v", err)
	}
	whole := appendString(appendArray(appendString(appendMap(appendArray(nil, 1), 1), strings.Repeat("k", 40)), 2), "v")
	whole = appendFloat(whole, 1)
	if _, _, err := decode(whole, 0); err != nil {
		t.Fatal(err)
	}
	for n := range whole { // what has not come yet
		if v, _, err := decode(whole[:n], 0); !errors.Is(err, errShort) || v != nil {
			t.Errorf("%d of %d bytes: %v, %v, want %v", n, len(whole), v, err, errShort)
		}
	}
}

func nested(n int, v any) any {
	for range n {
		v = []any{v}
	}
	return v
}

// shy is an error whose nil pointer can't say what it is.
type shy struct{ text string }

func (s *shy) Error() string { return s.text }

// unwilling fails to be JSON.
type unwilling struct{}

func (unwilling) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }

func TestRecords(t *testing.T) {
	var none *shy
	at := time.Unix(100, 7)
	for name, c := range map[string]struct {
		r    log.Record
		want map[string]any
	}{
		"plain":  {log.Record{Message: "m"}, map[string]any{"level": "INFO", "message": "m"}},
		"fatal":  {log.Record{Level: log.LevelFatal}, map[string]any{"level": "FATAL", "message": ""}},
		"source": {log.Record{Source: "a.go:1"}, map[string]any{"level": "INFO", "message": "", "source": "a.go:1"}},
		"logger": {log.Record{Logger: "db"}, map[string]any{"level": "INFO", "message": "", "logger": "db"}},
		"own keys": {log.Record{Source: "a.go:1", Attrs: []slog.Attr{slog.Int("level", 1), slog.Int("logger", 2), slog.Int("message", 3), slog.Int("source", 4), slog.Int("sources", 5)}},
			map[string]any{"level": "INFO", "message": "", "source": "a.go:1", "attr.level": int64(1), "attr.logger": int64(2), "attr.message": int64(3), "attr.source": int64(4), "sources": int64(5)}},
		"values": {log.Record{Attrs: []slog.Attr{slog.Any("err", errors.New("bad")), slog.Any("nil error", none), slog.Any("unwilling", unwilling{}), slog.Any("whole", 7.0), slog.Any("list", []any{1, 1.5, true, nil, "x"})}},
			map[string]any{"level": "INFO", "message": "", "err": "bad", "nil error": "!PANIC: runtime error: invalid memory address or nil pointer dereference",
				"unwilling": "!ERROR: json: error calling MarshalJSON for type fluentd.unwilling: no", "whole": 7.0, "list": []any{int64(1), 1.5, true, nil, "x"}}},
	} {
		c.r.Time = at
		b := encoding{}.Append(nil, &c.r)
		if !bytes.HasPrefix(b, appendTime(appendArray(nil, 2), at)) {
			t.Errorf("%s: begins with %x", name, b[:11])
		}
		v, rest, err := decode(b[11:], 0)
		if err != nil || len(rest) != 0 || !reflect.DeepEqual(v, c.want) {
			t.Errorf("%s: %v, %d bytes left, %v, want %v", name, v, len(rest), err, c.want)
		}
		if keys := int(b[11] & 15); keys != len(c.want) { // as it is written: a map has a key once
			t.Errorf("%s: %d keys, want %d", name, keys, len(c.want))
		}
	}
	before := time.Now().Unix()
	b := encoding{}.Append(nil, &log.Record{})
	if at := int64(b[3])<<24 | int64(b[4])<<16 | int64(b[5])<<8 | int64(b[6]); at < before || at > before+3600 {
		t.Errorf("a record without a time is of %v, want now", at)
	}
}
