package log_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

func discard(b *testing.B) *slog.Logger {
	l, err := log.New(log.WithOutput(log.ToWriter(io.Discard, log.JSON()), log.QueueBytes(64<<20)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		l.Close(context.Background())
		if s := l.Stats()[0]; s.Dropped > 0 {
			b.Logf("dropped %d of %d", s.Dropped, s.Accepted+s.Dropped)
		}
	})
	b.ReportAllocs()
	return l.Logger("")
}

func BenchmarkMessage(b *testing.B) {
	l := discard(b)
	for b.Loop() {
		l.LogAttrs(context.Background(), slog.LevelInfo, "request done")
	}
}

func ten() []slog.Attr {
	return []slog.Attr{slog.String("method", "GET"), slog.String("path", "/v1/users/42"), slog.String("service", "users"), slog.String("peer", "10.1.2.3:4567"),
		slog.Int("status", 200), slog.Int64("bytes", 123456), slog.Float64("ratio", 0.75), slog.Bool("cached", true),
		slog.Duration("took", 1500*time.Microsecond), slog.Time("at", time.Unix(1767322800, 0).UTC())}
}

func BenchmarkAccumulated(b *testing.B) {
	l := slog.New(discard(b).Handler().WithAttrs(ten()))
	for b.Loop() {
		l.LogAttrs(context.Background(), slog.LevelInfo, "request done")
	}
}

func BenchmarkAdded(b *testing.B) {
	l := discard(b)
	a := ten()
	for b.Loop() {
		l.LogAttrs(context.Background(), slog.LevelInfo, "request done", a...)
	}
}

func BenchmarkDisabled(b *testing.B) {
	l := discard(b)
	for b.Loop() {
		l.LogAttrs(context.Background(), slog.LevelDebug, "request done", slog.String("method", "GET"), slog.Int("status", 200))
	}
}
