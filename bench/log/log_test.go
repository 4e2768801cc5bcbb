package log_test

import (
	"context"
	"io"
	stdslog "log/slog"
	"testing"
	"time"

	"github.com/micro/go-platform/bench/internal/compare"
	"github.com/micro/go-platform/log"
	phuslu "github.com/phuslu/log"
	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

var (
	ctx  = context.Background()
	when = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// Ten attributes: four strings, an int, an int64, a float, a bool, a duration and a time.
func attrs() []stdslog.Attr {
	return []stdslog.Attr{stdslog.String("method", "GET"), stdslog.String("path", "/v1/users/42"), stdslog.String("service", "users"), stdslog.String("peer", "10.1.2.3:4567"),
		stdslog.Int("status", 200), stdslog.Int64("bytes", 123456), stdslog.Float64("ratio", 0.75), stdslog.Bool("cached", true),
		stdslog.Duration("took", 1500*time.Microsecond), stdslog.Time("at", when)}
}

func slogAdded(l *stdslog.Logger, level stdslog.Level) func(int) {
	return func(n int) {
		for range n {
			l.LogAttrs(ctx, level, "request done", stdslog.String("method", "GET"), stdslog.String("path", "/v1/users/42"), stdslog.String("service", "users"), stdslog.String("peer", "10.1.2.3:4567"),
				stdslog.Int("status", 200), stdslog.Int64("bytes", 123456), stdslog.Float64("ratio", 0.75), stdslog.Bool("cached", true),
				stdslog.Duration("took", 1500*time.Microsecond), stdslog.Time("at", when))
		}
	}
}

func slogMessage(l *stdslog.Logger) func(int) {
	return func(n int) {
		for range n {
			l.LogAttrs(ctx, stdslog.LevelInfo, "request done")
		}
	}
}

func accumulated(l *stdslog.Logger) *stdslog.Logger {
	return stdslog.New(l.Handler().WithAttrs(attrs()))
}

func zerologAdded(l zerolog.Logger, level zerolog.Level) func(int) {
	return func(n int) {
		for range n {
			l.WithLevel(level).Str("method", "GET").Str("path", "/v1/users/42").Str("service", "users").Str("peer", "10.1.2.3:4567").
				Int("status", 200).Int64("bytes", 123456).Float64("ratio", 0.75).Bool("cached", true).Dur("took", 1500*time.Microsecond).Time("at", when).Msg("request done")
		}
	}
}

func zapFields() []zap.Field {
	return []zap.Field{zap.String("method", "GET"), zap.String("path", "/v1/users/42"), zap.String("service", "users"), zap.String("peer", "10.1.2.3:4567"),
		zap.Int("status", 200), zap.Int64("bytes", 123456), zap.Float64("ratio", 0.75), zap.Bool("cached", true), zap.Duration("took", 1500*time.Microsecond), zap.Time("at", when)}
}

type loggers struct {
	log     log.Log
	ours    *stdslog.Logger
	std     *stdslog.Logger
	zero    zerolog.Logger
	zap     *zap.Logger
	phuslu  *phuslu.Logger
	slogPhu *stdslog.Logger
}

func open(b *testing.B) loggers {
	l, err := log.New(log.WithOutput(log.ToWriter(io.Discard, log.JSON()), log.QueueBytes(256<<20)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = l.Close(ctx)
		if s := l.Stats()[0]; s.Dropped > 0 {
			b.Logf("dropped %d of %d", s.Dropped, s.Accepted+s.Dropped)
		}
	})
	zerolog.TimeFieldFormat = time.RFC3339Nano
	ec := zap.NewProductionEncoderConfig()
	ec.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	ph := &phuslu.Logger{Level: phuslu.InfoLevel, TimeFormat: time.RFC3339Nano, Writer: phuslu.IOWriter{Writer: io.Discard}}
	return loggers{
		log: l, ours: l.Logger(""),
		std:     stdslog.New(stdslog.NewJSONHandler(io.Discard, nil)),
		zero:    zerolog.New(io.Discard).Level(zerolog.InfoLevel).With().Timestamp().Logger(),
		zap:     zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(ec), zapcore.AddSync(io.Discard), zap.InfoLevel)),
		phuslu:  ph,
		slogPhu: stdslog.New(phuslu.SlogNewJSONHandler(io.Discard, nil)),
	}
}

// both compares by the wall and by processor time: ours has a goroutine that
// writes, for which a busy machine may have no processor free.
func both(b *testing.B, callers int, contenders ...compare.Contender) {
	compare.Run(b, callers, contenders...)
	if callers == 1 {
		compare.Processor(b, 100_000, contenders...)
	}
}

func BenchmarkDisabled(b *testing.B) {
	l := open(b)
	both(b, 1,
		compare.Contender{Name: "ours", Loop: slogAdded(l.ours, stdslog.LevelDebug)},
		compare.Contender{Name: "slog", Loop: slogAdded(l.std, stdslog.LevelDebug)},
		compare.Contender{Name: "slog-phuslu", Loop: slogAdded(l.slogPhu, stdslog.LevelDebug)},
		compare.Contender{Name: "zap", Loop: func(n int) {
			for range n {
				l.zap.Debug("request done", zapFields()...)
			}
		}},
	)
}

func BenchmarkMessage(b *testing.B) {
	l := open(b)
	both(b, 1,
		compare.Contender{Name: "ours", Loop: slogMessage(l.ours)},
		compare.Contender{Name: "slog", Loop: slogMessage(l.std)},
		compare.Contender{Name: "slog-phuslu", Loop: slogMessage(l.slogPhu)},
		compare.Contender{Name: "zerolog", Loop: func(n int) {
			for range n {
				l.zero.Info().Msg("request done")
			}
		}},
		compare.Contender{Name: "zap", Loop: func(n int) {
			for range n {
				l.zap.Info("request done")
			}
		}},
		compare.Contender{Name: "phuslu", Loop: func(n int) {
			for range n {
				l.phuslu.Info().Msg("request done")
			}
		}},
	)
}

func BenchmarkAccumulated(b *testing.B) {
	l := open(b)
	zero := l.zero.With().Str("method", "GET").Str("path", "/v1/users/42").Str("service", "users").Str("peer", "10.1.2.3:4567").
		Int("status", 200).Int64("bytes", 123456).Float64("ratio", 0.75).Bool("cached", true).Dur("took", 1500*time.Microsecond).Time("at", when).Logger()
	zaps := l.zap.With(zapFields()...)
	both(b, 1,
		compare.Contender{Name: "ours", Loop: slogMessage(accumulated(l.ours))},
		compare.Contender{Name: "slog", Loop: slogMessage(accumulated(l.std))},
		compare.Contender{Name: "slog-phuslu", Loop: slogMessage(accumulated(l.slogPhu))},
		compare.Contender{Name: "zerolog", Loop: func(n int) {
			for range n {
				zero.Info().Msg("request done")
			}
		}},
		compare.Contender{Name: "zap", Loop: func(n int) {
			for range n {
				zaps.Info("request done")
			}
		}},
	)
}

func benchAdded(b *testing.B, callers int) {
	l := open(b)
	both(b, callers,
		compare.Contender{Name: "ours", Loop: slogAdded(l.ours, stdslog.LevelInfo)},
		compare.Contender{Name: "slog", Loop: slogAdded(l.std, stdslog.LevelInfo)},
		compare.Contender{Name: "slog-phuslu", Loop: slogAdded(l.slogPhu, stdslog.LevelInfo)},
		compare.Contender{Name: "zerolog", Loop: zerologAdded(l.zero, zerolog.InfoLevel)},
		compare.Contender{Name: "zap", Loop: func(n int) {
			for range n {
				l.zap.Info("request done", zapFields()...)
			}
		}},
	)
}

func BenchmarkAdded(b *testing.B)           { benchAdded(b, 1) }
func BenchmarkAddedTwoCallers(b *testing.B) { benchAdded(b, 2) }
