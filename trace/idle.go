package trace

import (
	"context"
	"time"
)

// idle is a span that does nothing.
type idle struct{}

func (idle) Context() SpanContext     { return SpanContext{} }
func (idle) Recording() bool          { return false }
func (idle) SetName(string)           {}
func (idle) Tag(string, string)       {}
func (idle) TagInt(string, int64)     {}
func (idle) TagFloat(string, float64) {}
func (idle) TagBool(string, bool)     {}
func (idle) SetRemote(Endpoint)       {}
func (idle) Link(SpanContext, ...Tag) {}
func (idle) Event(string, ...Tag)     {}
func (idle) Error(error)              {}
func (idle) End()                     {}
func (idle) EndAt(time.Time)          {}

// caller is the span of another process: it does nothing but tell its context.
type caller struct {
	idle
	sc SpanContext
}

func (c *caller) Context() SpanContext { return c.sc }

func (c *caller) SampledIDs() (trace [16]byte, span [8]byte, ok bool) { return c.sc.sampledIDs() }

// remoteContext is the context that Extract leaves.
type remoteContext struct {
	context.Context
	span caller
}

func (r *remoteContext) Value(key any) any {
	if key == any(contextKey{}) {
		return &r.span
	}
	return r.Context.Value(key)
}
