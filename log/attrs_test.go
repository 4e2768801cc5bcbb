package log_test

import (
	"context"
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
