package log_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

// What a record has beside its own attributes is written as if they were its own,
// by each encoding and below groups, and not looked at afterwards.
func TestAttributesBesideARecord(t *testing.T) {
	attrs := []slog.Attr{slog.String("a", "1"), slog.Group("g", slog.Int("b", 2)), slog.Any("password", "hunter2"), {}, slog.Duration("took", time.Second)}
	for name, enc := range map[string]log.Encoding{"JSON": log.JSON(), "logfmt": log.Logfmt(), "foreign": foreign{}} {
		for kind, dedup := range map[string][]log.Option{"incremental": nil, "tree": {log.WithDedup()}} {
			t.Run(name+" "+kind, func(t *testing.T) {
				lines := &strings.Builder{}
				l, err := log.New(append(dedup, log.ToWriter(lines, enc))...)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range []slog.Handler{l.Logger("x").Handler(), l.Logger("x").With("w", 1).WithGroup("in").Handler()} {
					for _, own := range [][]slog.Attr{nil, {slog.Int("own", 1)}} {
						lines.Reset()
						r := slog.NewRecord(time.Unix(1e9, 0), slog.LevelInfo, "m", 0)
						r.AddAttrs(own...)
						besides := r.Clone()
						r.AddAttrs(attrs...)
						if err := h.Handle(context.Background(), r); err != nil {
							t.Fatal(err)
						}
						if err := l.Flush(t.Context()); err != nil {
							t.Fatal(err)
						}
						want := lines.String()
						lines.Reset()
						room := append([]slog.Attr(nil), attrs...)
						fast := h.(interface {
							HandleAttrs(context.Context, slog.Record, []slog.Attr) error
						})
						if err := fast.HandleAttrs(context.Background(), besides, room); err != nil {
							t.Fatal(err)
						}
						clear(room)
						if err := l.Flush(t.Context()); err != nil {
							t.Fatal(err)
						}
						if got := lines.String(); got != want || !strings.Contains(want, "took") {
							t.Errorf("got  %swant %s", got, want)
						}
					}
				}
				if err := l.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// hides is a value that is made when it is asked for.
type hides struct{ v slog.Value }

func (h hides) LogValue() slog.Value { return h.v }

// An attribute that is nothing is left out, and so is a group without one; what
// has no name but a value stays. That holds for what a record has, for what With
// adds and for what is beside a record, in every encoding.
func TestWhatIsNothingIsLeftOut(t *testing.T) {
	nothing, empty := slog.Attr{}, slog.Group("empty")
	for _, c := range []struct {
		name string
		attr slog.Attr
		want string // of JSON, "" for nothing
	}{
		{"nothing", nothing, ""},
		{"no name", slog.Int("", 0), `"":0`},
		{"no name, a value of any kind", slog.Any("", []int{1}), `"":[1]`},
		{"a name without a value", slog.Any("k", nil), `"k":null`},
		{"an empty group", empty, ""},
		{"an empty group without a name", slog.Group(""), ""},
		{"a group of nothing", slog.Group("g", nothing, empty, slog.Group("h", nothing)), ""},
		{"a group of something", slog.Group("g", nothing, slog.Int("a", 1), empty), `"g":{"a":1}`},
		{"a group without a name", slog.Group("", slog.Int("a", 1), nothing, slog.Group("", slog.Int("b", 2))), `"a":1,"b":2`},
		{"a value that hides a group", slog.Any("g", hides{slog.GroupValue(slog.Int("a", 1), slog.Any("b", hides{slog.IntValue(2)}))}), `"g":{"a":1,"b":2}`},
		{"a value that hides an empty group", slog.Any("g", hides{slog.GroupValue()}), ""},
		{"a value that hides nothing", slog.Any("", hides{slog.Value{}}), ""},
		{"replaced by nothing", slog.Int("drop", 1), ""},
		{"replaced in a group", slog.Group("g", slog.Int("drop", 1)), ""},
		{"redacted", slog.Group("g", slog.Int("secret", 1)), `"g":{"secret":"[redacted]"}`},
	} {
		for path, opts := range map[string][]log.Option{"as it is": nil, "dedup": {log.WithDedup()}} {
			opts = append(opts, log.WithRedact("secret"), log.WithReplaceAttr(func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == "drop" {
					return slog.Attr{}
				}
				return a
			}))
			l, records := open(t, opts...)
			foreignLog, foreignRecords := openAs(t, foreign{}, opts...)
			said := func(attrs, more string) string {
				inner := strings.Trim(attrs+","+more, ",")
				if inner == "" {
					return "}"
				}
				return `,"in":{` + inner + "}}"
			}
			for _, lg := range []*slog.Logger{l.Logger(""), foreignLog.Logger("")} {
				in := lg.WithGroup("in")
				in.LogAttrs(t.Context(), slog.LevelInfo, "own", c.attr)
				slog.New(in.Handler().WithAttrs([]slog.Attr{c.attr})).Info("with")
				slog.New(in.Handler().WithAttrs([]slog.Attr{c.attr})).Info("and", "z", 1)
				in.Handler().(interface {
					HandleAttrs(context.Context, slog.Record, []slog.Attr) error
				}).HandleAttrs(t.Context(), slog.NewRecord(time.Time{}, slog.LevelInfo, "beside", 0), []slog.Attr{c.attr})
			}
			for _, lines := range [][]string{records(), foreignRecords()} {
				for i, want := range []string{said(c.want, ""), said(c.want, ""), said(c.want, `"z":1`), said(c.want, "")} {
					_, got, _ := strings.Cut(lines[i], `"msg":`)
					_, got, _ = strings.Cut(got, `"`)
					_, got, _ = strings.Cut(got, `"`)
					if strings.TrimSpace(got) != want || !json.Valid([]byte(lines[i])) {
						t.Errorf("%s, %s: %s, want %s", c.name, path, lines[i], want)
					}
				}
			}
		}
	}
}

// Groups that With opened are closed once, and what stands in them is below
// them, however often groups and attributes alternate.
func TestGroupsAndAttributesInTurn(t *testing.T) {
	for name, opts := range map[string][]log.Option{"as it is": nil, "dedup": {log.WithDedup()}} {
		l, records := open(t, opts...)
		lg := l.Logger("").With("a", 1).WithGroup("g").WithGroup("h").With("b", 2).With("c", 3).WithGroup("").WithGroup("i")
		lg.Info("m")
		lg.Info("m", "d", 4)
		lg.With("d", 4).With().WithGroup("j").Info("m", "e", 5)
		lg.With(slog.Attr{}).Info("m")
		for i, want := range []string{
			`"a":1,"g":{"h":{"b":2,"c":3}}}`,
			`"a":1,"g":{"h":{"b":2,"c":3,"i":{"d":4}}}}`,
			`"a":1,"g":{"h":{"b":2,"c":3,"i":{"d":4,"j":{"e":5}}}}}`,
			`"a":1,"g":{"h":{"b":2,"c":3}}}`,
		} {
			if got := records()[i]; !strings.HasSuffix(got, `"msg":"m",`+want+"\n") {
				t.Errorf("%s: %swant %s", name, got, want)
			}
		}
	}
}

// Of equal keys of one group the last stays, where it stands; the same key of
// another group, or below one, is another.
func TestDedupOfEachDepth(t *testing.T) {
	context := log.WithContext(func(_ context.Context, attrs []slog.Attr) []slog.Attr {
		return append(attrs, slog.Int("c", 1), slog.Int("d", 1))
	})
	l, records := open(t, log.WithDedup(), context)
	l.Logger("").With("a", 1, "c", 2).With("a", 2).WithGroup("g").With("a", 3, "b", 3).With("b", 4).Info("m", "b", 5, slog.Group("a", "b", 6, "b", 7))
	l.Logger("").Info("m", "a", 1, slog.Group("g", "x", 1), slog.Group("g", "y", 2))
	for i, want := range []string{`"d":1,"c":2,"a":2,"g":{"b":5,"a":{"b":7}}}`, `"c":1,"d":1,"a":1,"g":{"y":2}}`} {
		if got := records()[i]; !strings.HasSuffix(got, `"msg":"m",`+want+"\n") {
			t.Errorf("%swant %s", got, want)
		}
	}
}

// Keys of the record's own fields are told from others of the same length, also
// very long ones.
func TestLongKeysOfTheRecordsOwn(t *testing.T) {
	long := strings.Repeat("k", 80)
	own := log.Keys{Time: "t", Level: "l", Logger: "n", Message: long, Source: "s"}
	for key, want := range map[string]string{long: "attr." + long, long[:79]: long[:79], "u": "u", "s": "attr.s", "t": "attr.t", "l": "attr.l", "n": "attr.n"} {
		line := encoded(log.JSONKeys("x", own, 3, ""), log.Record{Attrs: []slog.Attr{slog.Int(key, 1)}})
		if !strings.HasSuffix(line, `"`+want+`":1}`) {
			t.Errorf("%s is in %s", key, line)
		}
	}
}

// Redaction knows keys by their letters, not by their length.
func TestRedactKnowsKeysWhole(t *testing.T) {
	long := strings.Repeat("p", 80)
	l, records := open(t, log.WithRedact("password", long), log.WithRedact("ÄPFEL"))
	for key, secret := range map[string]bool{"password": true, "PassWord": true, "passport": false, "": false, "passwords": false, long: true, long[1:]: false, "äpfel": true, "äpfeln": false} {
		l.Logger("").Info("x", key, "s3cret")
		lines := records()
		if line := lines[len(lines)-1]; secret != strings.Contains(line, "[redacted]") || secret == strings.Contains(line, "s3cret") {
			t.Errorf("%s: %s", key, line)
		}
	}
}

// A context that is not there has no attributes.
func TestARecordWithoutAContext(t *testing.T) {
	l, records := open(t, log.WithContext(func(ctx context.Context, attrs []slog.Attr) []slog.Attr {
		return append(attrs, slog.Bool("done", ctx.Err() != nil))
	}))
	var none context.Context
	for ctx, want := range map[context.Context]string{none: `"msg":"m"}`, t.Context(): `"msg":"m","done":false}`} {
		if err := l.Logger("").Handler().Handle(ctx, slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)); err != nil {
			t.Fatal(err)
		}
		lines := records()
		if got := lines[len(lines)-1]; !strings.HasSuffix(got, want+"\n") {
			t.Errorf("%swant %s", got, want)
		}
	}
}

// The source stands from its level on, and from the place that logs; a record
// that says no place has none.
func TestTheSourceBeginsAtItsLevel(t *testing.T) {
	l, records := open(t, log.WithSource(slog.LevelWarn), log.WithLevel("", slog.LevelDebug))
	for range 2 { // as it is found, and as it is remembered
		l.Logger("").Log(t.Context(), slog.LevelWarn-1, "below")
		l.Logger("").Log(t.Context(), slog.LevelWarn, "at")
		for _, nowhere := range []uintptr{0, 1} {
			l.Logger("").Handler().Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelError, "nowhere", nowhere))
		}
	}
	for i, want := range []bool{false, true, false, false, false, true, false, false} {
		if got := records()[i]; strings.Contains(got, `"source":"log/attrs_test.go:`) != want || strings.Contains(got, "source") != want {
			t.Errorf("source: %v in %s", want, got)
		}
	}
}
