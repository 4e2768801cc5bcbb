package log_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/micro/go-platform/log"
)

// Encodings, drivers and functions as users write them: values that can't be compared,
// which panic or return nothing.
type (
	oddEncoding struct {
		name   string
		append []func(dst []byte, r *log.Record) []byte
	}
	oddOutput struct {
		encoding log.Encoding
		write    []func(b log.Batch) (int, error)
	}
)

func (e oddEncoding) Name() string                                    { return e.name }
func (e oddEncoding) Append(dst []byte, r *log.Record) []byte         { return e.append[0](dst, r) }
func (o oddOutput) Encoding() log.Encoding                            { return o.encoding }
func (o oddOutput) Write(_ context.Context, b log.Batch) (int, error) { return o.write[0](b) }
func (oddOutput) Ping(context.Context) error                          { return nil }
func (oddOutput) Close() error                                        { return nil }

// What a user gave to a log and panics ends no call that logs, and takes no record from
// other outputs; where the record is lost the output says so.
func TestPartsOfTheUsersOwnMayPanic(t *testing.T) {
	type attrs = []slog.Attr
	plain := func(dst []byte, r *log.Record) []byte { return append(dst, r.Message+"\n"...) }
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		encode  func(dst []byte, r *log.Record) []byte
		write   func(b log.Batch) (int, error)
		opts    []log.Option
		odd     string // what the odd output has in the end
		dropped uint64 // records, and those that say so
		told    string // of the errors; "": none
		json    string // what the other output has, somewhere
	}{
		"well":     {plain, nil, nil, "one\ntwo\nthree\n", 0, "", `"msg":"two","a":1}`},
		"encoding": {func([]byte, *log.Record) []byte { panic(boom) }, nil, nil, "", 3, "encode: panic: boom", `"msg":"two","a":1}`},
		"encoding, of one": {func(dst []byte, r *log.Record) []byte {
			if r.Message == "two" {
				panic(boom)
			}
			return plain(dst, r)
		}, nil, nil, "one\nlog: records dropped\nthree\n", 1, "encode: panic: boom", `"msg":"two","a":1}`},
		"encoding, nothing": {func([]byte, *log.Record) []byte { return nil }, nil, nil, "", 0, "", `"msg":"two","a":1}`},
		"driver":            {plain, func(log.Batch) (int, error) { panic(boom) }, nil, "", 6, "panic: boom", `"msg":"two","a":1}`},
		"context": {plain, nil, []log.Option{log.WithContext(func(context.Context, attrs) attrs { panic(boom) })},
			"one\ntwo\nthree\n", 0, "", `"msg":"two","context":"!PANIC: boom","a":1}`},
		"context, one of two": {plain, nil, []log.Option{
			log.WithContext(func(_ context.Context, all attrs) attrs { return append(all, slog.Int("first", 1)) }),
			log.WithContext(func(context.Context, attrs) attrs { panic(boom) })},
			"one\ntwo\nthree\n", 0, "", `"msg":"two","first":1,"context":"!PANIC: boom","a":1}`},
		"context, nothing": {plain, nil, []log.Option{log.WithContext(func(context.Context, attrs) attrs { return nil })},
			"one\ntwo\nthree\n", 0, "", `"msg":"two","a":1}`},
		"replace": {plain, nil, []log.Option{log.WithReplaceAttr(func([]string, slog.Attr) slog.Attr { panic(boom) })},
			"one\ntwo\nthree\n", 0, "", `"msg":"two","a":"!PANIC: boom"}`},
		"errors": {func([]byte, *log.Record) []byte { panic(boom) }, nil, []log.Option{log.WithErrors(func(string, error) { panic(boom) })},
			"", 3, "", `"msg":"two","a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			odd, lines, told := &strings.Builder{}, &strings.Builder{}, ""
			write := c.write
			if write == nil {
				write = func(b log.Batch) (int, error) { odd.Write(b.Data); return b.Len(), nil }
			}
			l, err := log.New(append([]log.Option{
				log.WithErrors(func(output string, err error) {
					mu.Lock()
					defer mu.Unlock()
					told += output + ": " + err.Error() + "\n"
				}),
				log.WithDriver("odd", func(context.Context) (log.Driver, error) {
					return oddOutput{oddEncoding{"odd", []func([]byte, *log.Record) []byte{c.encode}}, []func(log.Batch) (int, error){write}}, nil
				}),
				log.ToWriter(lines, log.JSON()),
			}, c.opts...)...)
			if err != nil {
				t.Fatal(err)
			}
			lg := l.Logger("")
			var lost error
			for _, message := range []string{"one", "two", "three"} {
				lg.Info(message, "a", 1)
				lost = errors.Join(lost, l.Flush(t.Context()))
			}
			lost = errors.Join(lost, l.Close(context.WithoutCancel(t.Context())))
			if errors.Is(lost, log.ErrDropped) != (c.dropped > 0) {
				t.Errorf("Flush and Close: %v", lost)
			}
			if odd.String() != c.odd || !strings.Contains(lines.String(), c.json) || strings.Count(lines.String(), "\n") != 3 {
				t.Errorf("got %q and %s, want %q and %s", odd, lines, c.odd, c.json)
			}
			if got := l.Stats()[0].Dropped; got != c.dropped {
				t.Errorf("%d are counted as dropped, want %d", got, c.dropped)
			}
			mu.Lock()
			defer mu.Unlock()
			if (c.told == "") != (told == "") || !strings.Contains(told, c.told) {
				t.Errorf("told %q, want %q", told, c.told)
			}
		})
	}
}

// New refuses what can't encode.
func TestOutputsWithoutAnEncoding(t *testing.T) {
	var none *log.Recorder
	for name, opt := range map[string]log.Option{
		"driver, nil encoding": log.WithDriver("odd", func(context.Context) (log.Driver, error) { return oddOutput{}, nil }),
		"nil driver":           log.WithDriver("odd", func(context.Context) (log.Driver, error) { return nil, nil }),
		"nil pointer":          log.WithDriver("odd", func(context.Context) (log.Driver, error) { return none, nil }),
		"writer":               log.ToWriter(&strings.Builder{}, nil),
	} {
		if l, err := log.New(opt); !errors.Is(err, log.ErrInvalid) || l != nil {
			t.Errorf("%s: %v, %v, want %v", name, l, err, log.ErrInvalid)
		}
	}
}
