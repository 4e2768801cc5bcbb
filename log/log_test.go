package log_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/trace"
)

// open returns a Log whose records are in memory, and how to read them.
func open(t testing.TB, opts ...log.Option) (log.Log, func() []string) {
	t.Helper()
	return openAs(t, log.JSON(), opts...)
}

func openAs(t testing.TB, e log.Encoding, opts ...log.Option) (log.Log, func() []string) {
	t.Helper()
	m := log.NewRecorder(0, e)
	l, err := log.New(append([]log.Option{log.Memory(m)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l, func() []string {
		t.Helper()
		if err := l.Flush(context.Background()); err != nil && !errors.Is(err, log.ErrClosed) {
			t.Fatal(err)
		}
		return m.Records()
	}
}

func parse(t testing.TB, line string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return m
}

// foreign is an encoding as somebody else would write it.
type foreign struct{}

func (foreign) Name() string { return "foreign" }
func (foreign) Append(dst []byte, r *log.Record) []byte {
	return log.JSON().Append(dst, r)
}

func TestHandlerPassesSlogtest(t *testing.T) {
	for name, opts := range map[string][]log.Option{"json": nil, "dedup": {log.WithDedup()}, "several": {log.Memory(log.NewRecorder(1, log.Logfmt()))}} {
		t.Run(name, func(t *testing.T) { runSlogtest(t, log.JSON(), opts...) })
	}
	t.Run("encoding of another", func(t *testing.T) { runSlogtest(t, foreign{}) })
}

func runSlogtest(t *testing.T, e log.Encoding, opts ...log.Option) {
	var records func() []string
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		var l log.Log
		l, records = openAs(t, e, opts...)
		return l.Handler()
	}, func(t *testing.T) map[string]any {
		return parse(t, records()[0])
	})
}

func TestJSON(t *testing.T) {
	l, records := open(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("x", 3600))
	r := slog.NewRecord(at, slog.LevelWarn, "a \"quoted\"\n<line>", 0)
	r.AddAttrs(slog.String("s", "ä\x00\xff\u2028"), slog.Int("i", -1), slog.Uint64("u", math.MaxUint64), slog.Float64("f", 1.5),
		slog.Float64("nan", math.NaN()), slog.Bool("b", true), slog.Duration("d", time.Second), slog.Time("t", at), slog.Any("err", errors.New("bad")),
		slog.Any("any", struct{ A int }{1}), slog.Any("nil", nil), slog.Any("chan", make(chan int)), slog.Group("g", slog.Int("x", 1), slog.Group("empty")),
		slog.String("msg", "mine"), slog.Any("panics", panics{}), slog.Float64("tiny", 1e-9))
	l.Logger("db.pool", slog.String("fixed", "v")).Handler().Handle(t.Context(), r)
	want := `{"time":"2026-01-02T02:04:05.678901Z","level":"WARN","logger":"db.pool","msg":"a \"quoted\"\n<line>","fixed":"v",` +
		`"s":"ä\u0000` + "\uFFFD" + `\u2028","i":-1,"u":18446744073709551615,"f":1.5,"nan":"NaN","b":true,"d":1000000000,"t":"2026-01-02T03:04:05.678901234+01:00","err":"bad",` +
		`"any":{"A":1},"nil":null,"chan":"!ERROR: json: unsupported type: chan int","g":{"x":1},"attr.msg":"mine","panics":"!PANIC: oops","tiny":1e-09}` + "\n"
	if got := records()[0]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Levels have the names that the collector's severity parser knows.
func TestLevelsHaveTheNamesOfSeverities(t *testing.T) {
	for l, want := range map[slog.Level]string{
		-100: "TRACE", -9: "TRACE", -8: "TRACE", -7: "TRACE2", -5: "TRACE4", slog.LevelDebug: "DEBUG", -1: "DEBUG4", slog.LevelInfo: "INFO", 1: "INFO2", 3: "INFO4",
		slog.LevelWarn: "WARN", 5: "WARN2", slog.LevelError: "ERROR", 11: "ERROR4", log.LevelFatal: "FATAL", 13: "FATAL2", 15: "FATAL4", 16: "FATAL4", 1000: "FATAL4",
	} {
		l1, records := open(t, log.WithLevel("", -1000))
		l1.Logger("").Log(t.Context(), l, "x")
		if got := records()[0]; !strings.Contains(got, `"level":"`+want+`"`) {
			t.Errorf("level %d is in %s, want %s", l, got, want)
		}
	}
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("oops") }
func (panics) MarshalText() ([]byte, error) { panic("oops") }

func TestLogfmt(t *testing.T) {
	l, records := openAs(t, log.Logfmt())
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	r := slog.NewRecord(at, slog.LevelInfo, "two words", 0)
	r.AddAttrs(slog.String("plain", "x-1"), slog.String("empty", ""), slog.String("eq", "a=b"), slog.String("nl", "a\nb"), slog.String("ä ö", "ü"),
		slog.Group("g", slog.Int("i", 1), slog.Group("h", slog.Duration("d", time.Second))), slog.Any("p", panics{}), slog.String("level", "x"), slog.String("", "k"))
	l.Logger("db").WithGroup("out").Handler().Handle(t.Context(), r)
	want := `time=2026-01-02T03:04:05.678901Z level=INFO logger=db msg="two words" out.plain=x-1 out.empty="" out.eq="a=b" out.nl="a\nb" out.ä_ö=ü out.g.i=1 out.g.h.d=1s out.p="!PANIC: oops" out.level=x out._=k` + "\n"
	if got := records()[0]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestHuman(t *testing.T) {
	l, records := openAs(t, log.Human(false))
	l.Logger("db").Warn("slow\nquery", "took", time.Second)
	if got := records()[0]; !strings.HasSuffix(got, ` WARN  db: slow\nquery took=1s`+"\n") {
		t.Errorf("got %q", got)
	}
	l, records = openAs(t, log.Human(true))
	l.Logger("").Error("x")
	if got := records()[0]; !strings.Contains(got, " \x1b[31mERROR\x1b[0m x\n") {
		t.Errorf("got %q", got)
	}
}

func TestFieldsAreImmutableAndRaceFree(t *testing.T) {
	l, records := open(t)
	base := l.Logger("").With("a", 1).WithGroup("g").With("b", 2)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			mine := base.With("who", i)
			for range 50 {
				mine.Info("x", "n", i)
				base.Info("base")
			}
		})
	}
	wg.Wait()
	for _, line := range records() {
		m := parse(t, line)
		g := m["g"].(map[string]any)
		if m["msg"] == "base" && len(g) != 1 || m["msg"] == "x" && g["who"] != g["n"] {
			t.Fatal(line)
		}
	}
	if n := len(records()); n != 800 {
		t.Errorf("%d records", n)
	}
}

type stringer struct{ n *int }

func (s stringer) LogValue() slog.Value { return slog.IntValue(*s.n) }

func TestValuesAreReadBeforeTheCallReturns(t *testing.T) {
	l, records := open(t)
	n := 1
	lg := l.Logger("")
	lg.Info("x", "v", stringer{&n}, "p", &n)
	n = 2
	if m := parse(t, records()[0]); m["v"] != 1.0 || m["p"] != 1.0 {
		t.Errorf("%v", m)
	}
}

func TestLevelsByName(t *testing.T) {
	l, records := open(t, log.WithLevel("db", slog.LevelWarn))
	enabled := func(name string) string {
		for _, lv := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			if l.Logger(name).Enabled(t.Context(), lv) {
				return lv.String()
			}
		}
		return "none"
	}
	check := func(want map[string]string) {
		t.Helper()
		for name, level := range want {
			if got := enabled(name); got != level {
				t.Errorf("%q is at %s, want %s", name, got, level)
			}
		}
	}
	check(map[string]string{"": "INFO", "db": "WARN", "db.pool": "WARN", "dbx": "INFO", "db.pool.conn": "WARN", ".": "INFO"})
	pool := l.Logger("db.pool") // made before the change
	l.SetLevel("db.pool", slog.LevelDebug, 0)
	pool.Debug("seen")
	check(map[string]string{"db": "WARN", "db.pool": "DEBUG", "db.pool.conn": "DEBUG"})
	l.SetLevel("", slog.LevelError, 0)
	check(map[string]string{"": "ERROR", "x": "ERROR", "db": "WARN"})
	if n := len(records()); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestALevelRevertsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, log.WithLevel("a", slog.LevelWarn))
		debug := func(name string) bool { return l.Logger(name).Enabled(t.Context(), slog.LevelDebug) }
		l.SetLevel("a", slog.LevelDebug, 10*time.Minute)
		l.SetLevel("b", slog.LevelDebug, time.Minute)
		time.Sleep(5 * time.Minute)
		if !debug("a") || debug("b") {
			t.Errorf("after 5 minutes: a %v, b %v", debug("a"), debug("b"))
		}
		l.SetLevel("a", slog.LevelDebug, 10*time.Minute) // longer
		time.Sleep(9 * time.Minute)
		if !debug("a") {
			t.Error("the first expiry ended the second rule")
		}
		time.Sleep(2 * time.Minute)
		if debug("a") || l.Levels()["a"] != slog.LevelWarn {
			t.Errorf("what was before is not back: %v", l.Levels())
		}
		if _, ok := l.Levels()["b"]; ok {
			t.Errorf("a rule is left of b: %v", l.Levels())
		}
		l.SetLevel("a", slog.LevelDebug, time.Minute)
		l.Close(t.Context())
	})
}

func TestLevelHandler(t *testing.T) {
	l, _ := open(t)
	s := httptest.NewServer(l.LevelHandler())
	defer s.Close()
	do := func(method, query string) (int, string) {
		req, _ := http.NewRequest(method, s.URL+"?"+query, nil)
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		return resp.StatusCode, strings.TrimSpace(b.String())
	}
	for _, c := range []struct {
		method, query string
		code          int
		body          string
	}{
		{"GET", "", 200, `{"":"INFO"}`},
		{"PUT", "name=db&level=debug", 200, `{"":"INFO","db":"DEBUG"}`},
		{"POST", "level=FATAL&for=10m", 200, `{"":"FATAL","db":"DEBUG"}`},
		{"PUT", "level=loud", 400, `unknown level "loud"`},
		{"PUT", "level=info&for=-1s", 400, `malformed duration "-1s"`},
		{"DELETE", "", 405, "method not allowed"},
	} {
		if code, body := do(c.method, c.query); code != c.code || body != c.body {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.query, code, body, c.code, c.body)
		}
	}
	if !l.Logger("db").Enabled(t.Context(), slog.LevelDebug) {
		t.Error("the rule does not apply")
	}
}

func TestContextAttributesStandOutsideGroups(t *testing.T) {
	type key struct{}
	f := func(ctx context.Context, a []slog.Attr) []slog.Attr {
		if id, ok := ctx.Value(key{}).(string); ok {
			a = append(a, slog.String("trace_id", id))
		}
		return a
	}
	for _, e := range []log.Encoding{log.JSON(), foreign{}} {
		l, records := openAs(t, e, log.WithContext(f), log.WithContext(func(_ context.Context, a []slog.Attr) []slog.Attr {
			return append(a, slog.String("host", "h"))
		}))
		lg := l.Logger("").WithGroup("g").With("a", 1)
		lg.InfoContext(context.WithValue(t.Context(), key{}, "abc"), "x", "b", 2)
		lg.Info("y")
		if got := records()[0]; !strings.HasSuffix(got, `"msg":"x","trace_id":"abc","host":"h","g":{"a":1,"b":2}}`+"\n") {
			t.Errorf("%s", got)
		}
		if got := records()[1]; !strings.HasSuffix(got, `"msg":"y","host":"h","g":{"a":1}}`+"\n") {
			t.Errorf("%s", got)
		}
	}
}

func TestRedact(t *testing.T) {
	for _, opts := range [][]log.Option{nil, {log.WithDedup()}} {
		l, records := open(t, append(opts, log.WithRedact("password", "Authorization"))...)
		l.Logger("", slog.String("PASSWORD", "s3cret")).Info("x", "authorization", "s3cret", slog.Group("g", slog.Any("password", []byte("s3cret")), slog.Int("passwords", 1)),
			slog.Group("password", slog.String("inner", "s3cret")))
		if got := records()[0]; strings.Contains(got, "s3cret") || strings.Count(got, "[redacted]") != 4 || !strings.Contains(got, `"passwords":1`) {
			t.Errorf("%s", got)
		}
	}
}

func TestRedactCoversGroupsByName(t *testing.T) {
	for _, opts := range [][]log.Option{nil, {log.WithDedup()}} {
		l, records := open(t, append(opts, log.WithRedact("password"))...)
		lg := l.Logger("").WithGroup("Password")
		lg.With("before", "s3cret").WithGroup("deeper").Info("x", "inner", "s3cret", slog.Group("g", slog.String("innermost", "s3cret")))
		l.Logger("").WithGroup("passwords").Info("x", "n", "plain")
		if got := records(); strings.Contains(got[0], "s3cret") || strings.Count(got[0], "[redacted]") != 3 || !strings.Contains(got[1], "plain") {
			t.Errorf("%q", got)
		}
	}
}

func TestAttributesNamedLikeTheRecordsOwnFields(t *testing.T) {
	for name, enc := range map[string]log.Encoding{"json": log.JSON(), "logfmt": log.Logfmt()} {
		var out strings.Builder
		l, err := log.New(log.ToWriter(&out, enc), log.WithSource(slog.LevelInfo))
		if err != nil {
			t.Fatal(err)
		}
		l.Logger("a").Info("x", "time", 1, "level", 2, "msg", 3, "logger", 4, "source", 5, "sources", 6, slog.Group("g", slog.Int("source", 7)))
		l.Close(t.Context())
		line := out.String()
		for _, own := range []string{"time", "level", "msg", "logger", "source"} {
			if n := strings.Count(line, "attr."+own); n != 1 {
				t.Errorf("%s: attr.%s stands %d times in %s", name, own, n, line)
			}
		}
		if strings.Count(line, "attr.") != 5 {
			t.Errorf("%s: too much is renamed in %s", name, line)
		}
	}
}

// A group is a field of the JSON object too, whichever way it came.
func TestGroupsNamedLikeTheRecordsOwnFields(t *testing.T) {
	for name, opts := range map[string][]log.Option{"encoded at once": nil, "in trees": {log.WithDedup()}} {
		var out strings.Builder
		l, err := log.New(append(opts, log.ToWriter(&out, log.JSON()))...)
		if err != nil {
			t.Fatal(err)
		}
		inner := slog.Group("msg", "n", 1)
		lg := l.Logger("a")
		lg.Info("x", slog.Group("time", "n", 1), inner, slog.Group("times", inner), slog.Group("", slog.Group("level", "n", 1)))
		lg.WithGroup("time").With("n", 1).WithGroup("level").Info("x", inner)
		lg.WithGroup("logger").Info("x", "n", 1)
		l.Close(t.Context())
		want := []string{
			`"attr.time":{"n":1},"attr.msg":{"n":1},"times":{"msg":{"n":1}},"attr.level":{"n":1}}`,
			`"attr.time":{"n":1,"level":{"msg":{"n":1}}}}`,
			`"attr.logger":{"n":1}}`,
		}
		for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			_, got, _ := strings.Cut(line, `"msg":"x",`)
			if got != want[i] {
				t.Errorf("%s: %s, want the attributes %s", name, line, want[i])
			}
		}
	}
}

func TestReplaceAttr(t *testing.T) {
	l, records := open(t, log.WithReplaceAttr(func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == "drop" {
			return slog.Attr{}
		}
		if len(groups) == 1 && groups[0] == "g" {
			a.Key = strings.ToUpper(a.Key)
		}
		return a
	}))
	l.Logger("").With("drop", 1).WithGroup("g").Info("x", "a", 1, "drop", 2)
	if got := records()[0]; !strings.HasSuffix(got, `"msg":"x","g":{"A":1}}`+"\n") {
		t.Errorf("%s", got)
	}
}

func TestDedup(t *testing.T) {
	l, records := open(t, log.WithDedup())
	l.Logger("").With("a", 1, "b", 1).WithGroup("g").With("a", 1).Info("x", "a", 2, slog.Group("h", "k", 1, "k", 2))
	if got := records()[0]; !strings.HasSuffix(got, `"msg":"x","a":1,"b":1,"g":{"a":2,"h":{"k":2}}}`+"\n") {
		t.Errorf("%s", got)
	}
}

func TestRateLimitPerPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, records := open(t, log.WithRateLimit(3, time.Second))
		lg := l.Logger("")
		for _, n := range []int{100, 2} {
			for range n {
				lg.Info("noisy")
			}
			time.Sleep(time.Second)
		}
		lg.Info("other place")
		for range 5 {
			lg.Log(t.Context(), log.LevelFatal, "fatal")
		}
		count := map[any]int{}
		var suppressed any
		for _, line := range records() {
			m := parse(t, line)
			count[m["msg"]]++
			if s, ok := m["suppressed"]; ok {
				suppressed = s
			}
		}
		if count["noisy"] != 5 || count["other place"] != 1 || count["fatal"] != 5 || suppressed != 97.0 {
			t.Errorf("%v, suppressed %v", count, suppressed)
		}
	})
}

func TestSource(t *testing.T) {
	l, records := open(t, log.WithSource(slog.LevelWarn))
	l.Logger("").Info("x")
	l.Logger("").Warn("y")
	if got := records(); strings.Contains(got[0], "source") || !strings.Contains(got[1], `"source":"log/log_test.go:`) {
		t.Errorf("%s", got)
	}
}

func TestMinLevelOfAnOutput(t *testing.T) {
	warn := log.NewRecorder(0, nil)
	l, records := open(t, log.WithOutput(log.Memory(warn), log.MinLevel(slog.LevelWarn)))
	l.Logger("").Info("a")
	l.Logger("").Warn("b")
	if n := len(records()); n != 2 || len(warn.Records()) != 1 {
		t.Errorf("%d and %d records", n, len(warn.Records()))
	}
	only, err := log.New(log.WithOutput(log.Memory(warn), log.MinLevel(slog.LevelError)))
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close(t.Context())
	if only.Logger("").Enabled(t.Context(), slog.LevelWarn) {
		t.Error("enabled at a level that no output takes")
	}
}

func TestExit(t *testing.T) {
	var code, written int
	m := log.NewRecorder(0, nil)
	l, err := log.New(log.Memory(m), log.WithExit(log.LevelFatal, func(c int) { code, written = c, len(m.Records()) }))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	l.Logger("").Error("x")
	if code != 0 {
		t.Error("an error exits")
	}
	l.Logger("").Log(t.Context(), log.LevelFatal, "x")
	if code != 1 || written != 2 {
		t.Errorf("exit(%d) with %d of 2 records written", code, written)
	}
	if !strings.Contains(m.Records()[1], `"level":"FATAL"`) {
		t.Errorf("%s", m.Records())
	}
}

func TestMemoryKeepsTheNewest(t *testing.T) {
	m := log.NewRecorder(10, log.Logfmt())
	l, _ := log.New(log.Memory(m))
	for i := range 25 {
		l.Logger("").Info(fmt.Sprint(i))
	}
	l.Close(t.Context())
	got := m.Records()
	if len(got) != 10 || !strings.Contains(got[0], "msg=15") || !strings.Contains(got[9], "msg=24") {
		t.Errorf("%q", got)
	}
	m.Reset()
	if len(m.Records()) != 0 {
		t.Error("Reset left records")
	}
}

func TestOpenRefusesWhatCannotBe(t *testing.T) {
	for name, opt := range map[string]log.Option{
		"nil": nil, "memory": log.Memory(nil), "writer": log.ToWriter(nil, log.JSON()), "encoding": log.ToStdout(nil), "driver": log.WithDriver("", nil),
		"context": log.WithContext(nil), "limit": log.WithRateLimit(0, 0), "exit": log.WithExit(0, nil), "route": log.WithOutput(nil),
		"route option": log.WithOutput(log.ToStdout(log.JSON()), nil), "queue": log.WithOutput(log.ToStdout(log.JSON()), log.QueueBytes(1023)), "dial": log.WithDialTimeout(0),
		"batch": log.WithOutput(log.ToStdout(log.JSON()), log.BatchOf(0, 0)), "delay": log.WithOutput(log.ToStdout(log.JSON()), log.BatchOf(1, -1)),
		"timeout": log.WithOutput(log.ToStdout(log.JSON()), log.WriteTimeout(0)), "inner": log.WithOutput(log.ToWriter(nil, log.JSON())), "no encoding": log.ToWriter(io.Discard, nil), "inner driver": log.WithOutput(log.WithDriver("", nil)),
		"period": log.WithRateLimit(1, 0), "no records": log.WithRateLimit(0, 1), "errors": log.WithErrors(nil),
	} {
		l, err := log.New(opt)
		if l != nil || !errors.Is(err, log.ErrInvalid) || !strings.HasPrefix(err.Error(), "log") {
			t.Errorf("%s: %v", name, err)
		}
	}
	l, err := log.New(log.WithOutput(log.ToWriter(io.Discard, log.JSON()), log.QueueBytes(1024), log.BatchOf(1, 0), log.WriteTimeout(1)), log.WithRateLimit(1, 1))
	if err != nil {
		t.Fatalf("the least of each: %v", err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, err := log.New(log.ToWriter(io.Discard, log.JSON()), log.WithContext(trace.ContextAttrs))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	tr, err := trace.New()
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(t.Context())
	ctx, span := tr.Start(t.Context(), "x")
	defer span.End()
	lg := l.Logger("db")
	accumulated := lg.With("a", 1, "b", "two", "c", 3.0)
	withSource, err := log.New(log.ToWriter(io.Discard, log.JSON()), log.WithSource(slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	defer withSource.Close(t.Context())
	sourced := withSource.Logger("db")
	for name, c := range map[string]struct {
		f    func()
		want float64
	}{
		"disabled":    {func() { lg.LogAttrs(ctx, slog.LevelDebug, "x", slog.Int("a", 1)) }, 0},
		"message":     {func() { lg.LogAttrs(ctx, slog.LevelInfo, "x") }, 0},
		"source":      {func() { sourced.LogAttrs(ctx, slog.LevelInfo, "x") }, 1}, // the place as a key
		"accumulated": {func() { accumulated.LogAttrs(ctx, slog.LevelInfo, "x") }, 0},
		"five added": {func() {
			lg.LogAttrs(ctx, slog.LevelInfo, "x", slog.Int("a", 1), slog.Int("b", 1), slog.Int("c", 1), slog.Int("d", 1), slog.String("e", "f"))
		}, 0},
		"six added": {func() { // slog itself allocates for the sixth
			lg.LogAttrs(ctx, slog.LevelInfo, "x", slog.Int("a", 1), slog.Int("b", 1), slog.Int("c", 1), slog.Int("d", 1), slog.String("e", "f"), slog.Bool("g", true))
		}, 1},
	} {
		for range 1000 { // until the buffers are there
			c.f()
		}
		if n := testing.AllocsPerRun(1000, c.f); n > c.want {
			t.Errorf("%s: %v allocations, want %v", name, n, c.want)
		}
	}
}
