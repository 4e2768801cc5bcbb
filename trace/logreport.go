package trace

import (
	"context"
	"log/slog"

	"github.com/micro/go-platform/internal/fault"
)

// ToLog reports every span as a record of l, at level Info, or Warn if it
// failed.
func ToLog(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return fault.Markf(ErrInvalid, "ToLog(nil)")
		}
		return WithDriver("log", func(context.Context) (Driver, error) { return logDriver{l}, nil })(o)
	}
}

type logDriver struct{ log *slog.Logger }

func (d logDriver) Report(ctx context.Context, spans []SpanData) (int, error) {
	for _, s := range spans {
		level := slog.LevelInfo
		if s.Err != "" {
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{
			slog.String("trace_id", s.Context.TraceID.String()),
			slog.String("span_id", s.Context.SpanID.String()),
		}
		add := func(key, value string) {
			if value != "" {
				attrs = append(attrs, slog.String(key, value))
			}
		}
		if !s.Context.ParentID.IsZero() {
			add("parent_id", s.Context.ParentID.String())
		}
		add("service", s.Local.Service)
		add("kind", s.Kind.String())
		add("remote", s.Remote.Service)
		attrs = append(attrs, slog.Time("start", s.Start), slog.Duration("duration", s.Duration))
		add("error", s.Err)
		if len(s.Tags) > 0 {
			attrs = append(attrs, slog.GroupAttrs("tags", s.Tags...))
		}
		d.log.LogAttrs(ctx, level, s.Name, attrs...)
	}
	return len(spans), nil
}

func (logDriver) Ping(context.Context) error { return nil }
func (logDriver) Close() error               { return nil }
