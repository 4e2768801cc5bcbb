package wrapper

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/seldom"
	"github.com/micro/go-platform/router"
)

// logObserver writes a record of each call that failed or was slow, of some of
// those that were not let in, and of the others at the level of WithAccessLog.
type logObserver struct {
	h      slog.Handler
	pc     uintptr // of the records: they are all made in one place
	access slog.Level
	slow   time.Duration

	refusals *seldom.Gate
	fast     attrsHandler // h, if it is package log's
	rooms    sync.Pool    // for what fast is given: *[mostAttrs]slog.Attr
}

// attrsHandler is a handler that keeps no attributes, as that of package log.
type attrsHandler interface {
	HandleAttrs(ctx context.Context, r slog.Record, more []slog.Attr) error
}

// mostAttrs is how many attributes the record of a call has at the most.
const mostAttrs = 20

func newLogObserver(o *options) *logObserver {
	var here [1]uintptr
	runtime.Callers(1, here[:])
	ob := &logObserver{
		h: o.log.Logger("wrapper").Handler(), pc: here[0], access: o.accessLevel, slow: o.slow, refusals: &seldom.Gate{},
		rooms: sync.Pool{New: func() any { return new([mostAttrs]slog.Attr) }},
	}
	ob.fast, _ = ob.h.(attrsHandler)
	return ob
}

func (o *logObserver) Begin(ctx context.Context, _ *Call) context.Context { return ctx }

func (o *logObserver) End(ctx context.Context, c *Call) {
	level := o.access
	switch {
	case c.Panic != nil || c.Class == router.ServerError:
		level = slog.LevelError
	case c.refused && c.Side == Server: // strangers decide how many there are: some of each reason are warnings
		if ok, _ := o.refusals.Pass(refusal(c), c.Start); ok {
			level = max(level, slog.LevelWarn)
		}
	case c.Class.Failed() || c.Duration >= o.slow && !c.Hijacked:
		level = max(level, slog.LevelWarn)
	}
	if !o.h.Enabled(ctx, level) {
		return
	}
	message := "served"
	switch {
	case c.Message && c.Side == Client:
		message = "published"
	case c.Message:
		message = "consumed"
	case c.Side == Client:
		message = "called"
	}
	// What slog.Logger would do, without looking for the caller and at the clock.
	r := slog.NewRecord(c.Start.Add(c.Duration), level, message, o.pc)
	if o.fast == nil {
		r.AddAttrs(appendCall(nil, c)...)
		_ = o.h.Handle(ctx, r)
		return
	}
	room := o.rooms.Get().(*[mostAttrs]slog.Attr)
	attrs := appendCall(room[:0], c)
	_ = o.fast.HandleAttrs(ctx, r, attrs)
	clear(attrs)
	o.rooms.Put(room)
}

// appendCall appends what a record says of a call: in the names of
// OpenTelemetry's conventions what they name.
func appendCall(attrs []slog.Attr, c *Call) []slog.Attr {
	switch {
	case c.Message:
		name, _ := c.operation()
		attrs = append(attrs, slog.String(attrMessagingOperation, name), slog.String(attrMessagingDestination, c.Method))
	case c.Protocol == "http":
		attrs = append(attrs, slog.String(attrHTTPMethod, c.Action))
		if r := c.Request(); r != nil && r.URL != nil {
			attrs = append(attrs, slog.String(attrURLPath, clip(r.URL.Path, maxPathText)))
		}
		if c.Route != "" {
			attrs = append(attrs, slog.String(attrHTTPRoute, c.Route))
		}
		if c.Status != 0 {
			attrs = append(attrs, slog.Int(attrHTTPStatus, c.Status))
		}
	case c.Protocol == "db":
		attrs = append(attrs, slog.String(attrDBSystem, c.System), slog.String(attrDBOperation, c.Action))
		if c.Resource != "" {
			attrs = append(attrs, slog.String(attrDBCollection, c.Resource))
		}
	case c.Protocol == "lock":
		attrs = append(attrs, slog.String(attrDBSystem, c.System), slog.String(attrLockOp, c.Action))
	default:
		attrs = append(attrs, slog.String(attrRPCMethod, c.rpcMethod()))
		if status := c.rpcStatus(); status != "" {
			attrs = append(attrs, slog.String(attrRPCStatus, status))
		}
	}
	attrs = append(attrs, slog.String("outcome", c.Class.String()), slog.Duration("took", c.Duration), slog.String("request_id", c.RequestID))
	if failed := c.failed(); failed != "" {
		attrs = append(attrs, slog.String(attrErrorType, failed))
	}
	if c.Late {
		attrs = append(attrs, slog.Bool("late", true))
	}
	if c.Side == Server && c.Attempts > 1 {
		attrs = append(attrs, slog.Int("attempts", c.Attempts))
	}
	if c.Side == Client && c.Protocol != "db" && c.Protocol != "lock" {
		host, port := splitService(c.Service)
		attrs = append(attrs, slog.String(attrServerAddress, host))
		if port != "" {
			attrs = append(attrs, slog.String(attrServerPort, port))
		}
		attrs = append(attrs, slog.Int("attempts", c.Attempts))
		if c.Instance != nil {
			attrs = append(attrs, slog.String("instance", c.Instance.ID))
		}
	}
	if c.refused {
		attrs = append(attrs, slog.String("reason", refusal(c)))
	}
	if c.Err != nil {
		attrs = append(attrs, slog.Any("error", c.Err))
	}
	if c.Panic != nil {
		attrs = append(attrs, slog.String(attrExceptionMessage, fmt.Sprint(c.Panic)), slog.String(attrExceptionStack, string(c.Stack)))
	}
	return attrs
}
