package log

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/micro/go-platform/internal/fault"
)

// A call that logs never panics because of a function or an encoding of the
// user's own: what has panicked stands in the record, and a record that can't be
// encoded is counted as dropped.

func panicked(v any) slog.Value { return slog.StringValue(fmt.Sprintf("!PANIC: %v", v)) }

// guardContext is f of WithContext.
func guardContext(f func(ctx context.Context, attrs []slog.Attr) []slog.Attr) func(context.Context, []slog.Attr) []slog.Attr {
	return func(ctx context.Context, attrs []slog.Attr) (all []slog.Attr) {
		defer func() {
			v := recover()
			if v != nil {
				all = append(attrs, slog.Attr{Key: "context", Value: panicked(v)})
			}
		}()
		return f(ctx, attrs)
	}
}

// guardReplace is f of WithReplaceAttr. It may be what hides secrets, so that a value
// on which it panics is not shown.
func guardReplace(f func(groups []string, a slog.Attr) slog.Attr) func([]string, slog.Attr) slog.Attr {
	return func(groups []string, a slog.Attr) (b slog.Attr) {
		defer func() {
			v := recover()
			if v != nil {
				b = slog.Attr{Key: a.Key, Value: panicked(v)}
			}
		}()
		return f(groups, a)
	}
}

// encode is Append of an encoding.
func encode(e Encoding, dst []byte, r *Record) (b []byte, err error) {
	defer func() {
		v := recover()
		if v != nil {
			b, err = dst, fault.Mark(fault.Invalid, fmt.Errorf("encode: %w", fault.Panicked(v)))
		}
	}()
	return e.Append(dst, r), nil
}
