package log_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

// encoded returns one record in an encoding, without the line's end.
func encoded(e log.Encoding, r log.Record) string {
	return strings.TrimSuffix(string(e.Append(nil, &r)), "\n")
}

// jsonOf returns how a value stands in JSON.
func jsonOf(v slog.Value) string {
	_, value, _ := strings.Cut(encoded(log.JSON(), log.Record{Attrs: []slog.Attr{{Key: "k", Value: v}}}), `"k":`)
	return strings.TrimSuffix(value, "}")
}

// textOf returns how a value stands in an encoding of pairs.
func textOf(e log.Encoding, v slog.Value) string {
	_, value, _ := strings.Cut(encoded(e, log.Record{Attrs: []slog.Attr{{Key: "k", Value: v}}}), " k=")
	return value
}

// The time of a record is written with its decimals in the years that RFC 3339
// knows, and as it is in others.
func TestRecordsAtTheEndsOfTheCalendar(t *testing.T) {
	utc := func(year int, month time.Month, day, hour, minute, second, nano int) time.Time {
		return time.Date(year, month, day, hour, minute, second, nano, time.UTC)
	}
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{utc(-1, 12, 31, 23, 59, 59, 5), "-0001-12-31T23:59:59.000000005Z"},
		{utc(0, 1, 1, 0, 0, 0, 0), "0000-01-01T00:00:00.000000Z"},
		{utc(9999, 12, 31, 23, 59, 59, 999999999), "9999-12-31T23:59:59.999999Z"},
		{utc(10000, 1, 1, 0, 0, 0, 5), "10000-01-01T00:00:00.000000005Z"},
		{utc(2026, 1, 2, 3, 4, 5, 0), "2026-01-02T03:04:05.000000Z"},
		{utc(2026, 1, 2, 3, 4, 5, 6e3), "2026-01-02T03:04:05.000006Z"}, // of the same second
		{utc(2026, 1, 2, 3, 4, 6, 0), "2026-01-02T03:04:06.000000Z"},
	} {
		if got, want := encoded(log.JSON(), log.Record{Time: c.at}), `{"time":"`+c.want+`","level":"INFO","msg":""}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got, want := encoded(log.Logfmt(), log.Record{Time: c.at}), "time="+c.want+` level=INFO msg=""`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A time that is a value stands in its own zone; encoding/json has no form for
// the years before 0 and after 9999, which stand as text.
func TestTimesAsJSONValues(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(-1, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 1, 2, 23, 59, 59, 0, time.UTC), time.Date(0, 1, 3, 0, 0, 0, 1, time.UTC),
		time.Date(9999, 12, 29, 23, 59, 59, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), {},
		time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 5400)),
		// The same moments are in another year elsewhere.
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).In(time.FixedZone("", -3600)), time.Date(9999, 12, 31, 23, 30, 0, 0, time.UTC).In(time.FixedZone("", 3600)),
	} {
		want, err := json.Marshal(at)
		if err != nil {
			want = []byte(`"` + at.String() + `"`)
		}
		if got := jsonOf(slog.TimeValue(at)); got != string(want) {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}

// Floats have the form that encoding/json gives them, on both sides of where an
// exponent begins.
func TestFloatsAsJSONValues(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1.5: "-1.5", 1e-6: "0.000001", -1e-6: "-0.000001", 9.99e-7: "9.99e-07", -9.99e-7: "-9.99e-07",
		1e20: "100000000000000000000", 1e21: "1e+21", -1e21: "-1e+21", math.Nextafter(1e21, 0): "999999999999999900000", math.Nextafter(1e21, 1e22): "1.0000000000000001e+21",
		math.Inf(1): `"+Inf"`, math.Inf(-1): `"-Inf"`, math.NaN(): `"NaN"`, math.MaxFloat64: "1.7976931348623157e+308",
	} {
		if got := jsonOf(slog.Float64Value(f)); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

// marshals is a value with an error, or a text, of its own.
type marshals struct {
	text string
	err  error
}

func (m marshals) MarshalText() ([]byte, error) { return []byte(m.text), m.err }

// both is an error that says itself how it stands in JSON.
type both struct{}

func (both) Error() string                { return "plain" }
func (both) MarshalJSON() ([]byte, error) { return []byte(`{"kind":"both"}`), nil }

// Values of every kind stand in every encoding in its own form.
func TestValuesOfEveryKind(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, c := range []struct {
		name       string
		v          slog.Value
		json, text string
	}{
		{"string", slog.StringValue("a b"), `"a b"`, `"a b"`},
		{"negative", slog.Int64Value(math.MinInt64), "-9223372036854775808", "-9223372036854775808"},
		{"unsigned", slog.Uint64Value(math.MaxUint64), "18446744073709551615", "18446744073709551615"},
		{"float", slog.Float64Value(1.5e30), "1.5e+30", "1.5e+30"},
		{"minus zero", slog.Float64Value(math.Copysign(0, -1)), "-0", "-0"},
		{"true", slog.BoolValue(true), "true", "true"},
		{"false", slog.BoolValue(false), "false", "false"},
		{"duration", slog.DurationValue(90 * time.Second), "90000000000", "1m30s"},
		{"time", slog.TimeValue(at), `"2026-01-02T03:04:05.000000006Z"`, "2026-01-02T03:04:05.000000006Z"},
		{"error", slog.AnyValue(errors.New("bad")), `"bad"`, "bad"},
		{"error that marshals", slog.AnyValue(both{}), `{"kind":"both"}`, "plain"},
		{"text", slog.AnyValue(netip.MustParseAddr("10.0.0.1")), `"10.0.0.1"`, "10.0.0.1"},
		{"no text", slog.AnyValue(marshals{"x", errors.New("no")}), `"!ERROR: json: error calling MarshalText for type log_test.marshals: no"`, `"!ERROR: no"`},
		{"bytes", slog.AnyValue([]byte("raw")), `"cmF3"`, "raw"},
		{"struct", slog.AnyValue(struct{ A, B int }{1, 2}), `{"A":1,"B":2}`, `"{A:1 B:2}"`},
		{"markup", slog.AnyValue(map[string]string{"a": "<&>"}), `{"a":"<&>"}`, "map[a:<&>]"},
		{"panic", slog.AnyValue(panics{}), `"!PANIC: oops"`, `"!PANIC: oops"`},
		{"nil", slog.AnyValue(nil), "null", "<nil>"},
	} {
		if got := jsonOf(c.v); got != c.json {
			t.Errorf("%s: %s, want %s", c.name, got, c.json)
		}
		for _, e := range []log.Encoding{log.Logfmt(), log.Human(false)} {
			if got := textOf(e, c.v); got != c.text {
				t.Errorf("%s as %s: %s, want %s", c.name, e.Name(), got, c.text)
			}
		}
	}
}

// What a JSON string may not hold is escaped, and what it may hold is not.
func TestStringsInJSON(t *testing.T) {
	for s, want := range map[string]string{
		"":         "",
		"\uFFFD":   "\uFFFD", // somebody wrote it: it is no error
		"a\xffb":   "a\uFFFDb",
		"\xe4\xb8": "\uFFFD\uFFFD",
		"\u2027":   "\u2027", "\u2028": `\u2028`, "\u2029": `\u2029`, "\u202a": "\u202a",
		"\x1f": `\u001f`, " ": " ", "~": "~", "\x7f": `\u007f`, "\u0080": "\u0080", "ä": "ä", "😀": "😀",
		"\n\r\t\b": `\n\r\t\u0008`, `"\/`: `\"\\/`, "<&>": "<&>", "ends ä": "ends ä",
	} {
		if got := string(log.AppendString(nil, s)); got != `"`+want+`"` {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// A value of logfmt is quoted if it holds what ends one, a key has "_" instead.
func TestWordsOfLogfmt(t *testing.T) {
	for s, want := range map[string][2]string{ // as a value, as a key
		"":        {`""`, "_"},
		"a":       {"a", "a"},
		"a b":     {`"a b"`, "a_b"},
		"a=b":     {`"a=b"`, "a_b"},
		`a"b`:     {`"a\"b"`, "a_b"},
		`a\b`:     {`"a\\b"`, `a\b`},
		"a\tb":    {`"a\tb"`, "a_b"},
		"a\x7fb":  {`"a\x7fb"`, "a_b"},
		"!~":      {"!~", "!~"},
		"ä":       {"ä", "ä"},
		"ä=":      {`"ä="`, "ä_"},
		`ä"`:      {`"ä\""`, "ä_"},
		`ä\`:      {`"ä\\"`, `ä\`},
		"ä b":     {`"ä b"`, "ä_b"},
		"ä\xff":   {`"ä\xff"`, "ä_"},
		"\uFFFD":  {`"�"`, "_"},
		"ä\u2028": {`"ä\u2028"`, "ä_"},
		"ä\u3000": {`"ä\u3000"`, "ä_"},
		"aä":      {"aä", "aä"},
	} {
		line := encoded(log.Logfmt(), log.Record{Attrs: []slog.Attr{slog.String("k", s)}})
		if _, got, _ := strings.Cut(line, " k="); got != want[0] {
			t.Errorf("value %q is %s, want %s", s, got, want[0])
		}
		line = encoded(log.Logfmt(), log.Record{Attrs: []slog.Attr{slog.Group(s, slog.String(s, "v"))}})
		if _, got, _ := strings.Cut(line, `msg="" `); got != want[1]+"."+want[1]+"=v" {
			t.Errorf("key %q is in %s, want %s", s, got, want[1])
		}
	}
}

// The parts of a record stand in a line when the record has them.
func TestPartsOfALine(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.Local)
	own := []slog.Attr{slog.String("level", "x"), slog.Group("g", slog.String("level", "y"))}
	for _, c := range []struct {
		e    log.Encoding
		r    log.Record
		want string
	}{
		{log.JSON(), log.Record{}, `{"level":"INFO","msg":""}`},
		{log.JSON(), log.Record{Logger: "a", Message: "m"}, `{"level":"INFO","logger":"a","msg":"m"}`},
		{log.JSON(), log.Record{Source: "a.go:1", Message: "m", Attrs: own}, `{"level":"INFO","source":"a.go:1","msg":"m","attr.level":"x","g":{"level":"y"}}`},
		{log.Logfmt(), log.Record{}, `level=INFO msg=""`},
		{log.Logfmt(), log.Record{Logger: "a b", Message: "m"}, `level=INFO logger="a b" msg=m`},
		{log.Logfmt(), log.Record{Source: "a b.go:1", Message: "m", Attrs: own}, `level=INFO source="a b.go:1" msg=m attr.level=x g.level=y`},
		{log.Human(false), log.Record{}, "INFO  "},
		{log.Human(false), log.Record{Time: at, Level: slog.LevelError + 1, Message: "m", Attrs: own}, "03:04:05.678 ERROR2 m level=x g.level=y"},
		{log.Human(false), log.Record{Logger: "a\n", Message: "ä b\t", Source: "a\n.go:1"}, `INFO  a\n: ä b\t (a\n.go:1)`},
	} {
		if got := encoded(c.e, c.r); got != c.want {
			t.Errorf("%s: %s, want %s", c.e.Name(), got, c.want)
		}
	}
}

// Each level has a color, which begins where the level does.
func TestColors(t *testing.T) {
	for l, want := range map[slog.Level]string{
		slog.LevelDebug: "90", slog.LevelInfo - 1: "90", slog.LevelInfo: "32", slog.LevelWarn - 1: "32", slog.LevelWarn: "33", slog.LevelError - 1: "33", slog.LevelError: "31", log.LevelFatal: "31",
	} {
		if got := encoded(log.Human(true), log.Record{Level: l}); !strings.HasPrefix(got, "\x1b["+want+"m") {
			t.Errorf("level %d: %q, want color %s", l, got, want)
		}
		if got := encoded(log.Human(false), log.Record{Level: l}); strings.Contains(got, "\x1b") {
			t.Errorf("level %d without color: %q", l, got)
		}
	}
}

// counting is an encoding that counts its calls.
type counting struct {
	name  string
	calls *int
}

func (c counting) Name() string { return c.name }
func (c counting) Append(dst []byte, r *log.Record) []byte {
	*c.calls++
	return log.Logfmt().Append(dst, r)
}

// Outputs whose encodings have one name share one: a record is encoded once for
// all of them, and not at all if none takes it.
func TestOutputsShareAnEncoding(t *testing.T) {
	for second, want := range map[string]int{"same": 2, "other": 3} {
		var one, two int
		all, errs := log.NewRecorder(0, counting{"same", &one}), log.NewRecorder(0, counting{second, &two})
		l, err := log.New(log.WithOutput(log.Memory(errs), log.MinLevel(slog.LevelError)), log.WithOutput(log.Memory(all), log.MinLevel(slog.LevelWarn)))
		if err != nil {
			t.Fatal(err)
		}
		l.Logger("").Info("below both")
		l.Logger("").Handler().Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelInfo, "below both, past Enabled", 0))
		l.Logger("").Warn("for one")
		l.Logger("").Error("for both")
		if err := l.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := one + two; got != want {
			t.Errorf("%s encoding: %d calls, want %d", second, got, want)
		}
		if w, e := strings.Join(all.Records(), ""), strings.Join(errs.Records(), ""); strings.Count(w, "for one") != 1 || strings.Count(w, "\n") != 2 || strings.Count(e, "for both") != 1 || strings.Count(e, "\n") != 1 {
			t.Errorf("%s encoding: all have %q and errors %q", second, w, e)
		}
	}
}

// A record that can't be encoded is lost to the outputs that would take it, and to
// no other.
func TestARecordThatCannotBeEncoded(t *testing.T) {
	bad := oddEncoding{"odd", []func([]byte, *log.Record) []byte{func([]byte, *log.Record) []byte { panic("boom") }}}
	output := func(least slog.Level) log.Option {
		return log.WithOutput(log.Memory(log.NewRecorder(0, bad)), log.MinLevel(least))
	}
	l, err := log.New(output(slog.LevelError), output(slog.LevelWarn), output(slog.LevelWarn+1), quiet())
	if err != nil {
		t.Fatal(err)
	}
	l.Logger("").Warn("x")
	l.Close(t.Context())
	for i, want := range []uint64{0, 1, 0} {
		if s := l.Stats()[i]; s.Dropped != want {
			t.Errorf("output %d: %+v, want %d dropped", i, s, want)
		}
	}
}
