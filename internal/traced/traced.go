// Package traced finds the trace of a context without package trace, which
// puts it there.
package traced

import "context"

// Key is the key of the current span in a context. Its value is a Span.
type Key struct{}

// Span is what a span tells to others than package trace.
type Span interface {
	// SampledIDs returns the ids of the trace and the span. ok is false for a
	// span that is not sampled, and for none.
	SampledIDs() (trace [16]byte, span [8]byte, ok bool)
}

// IDs returns the ids of the sampled span in ctx, if there is one. It does not
// allocate.
func IDs(ctx context.Context) (trace [16]byte, span [8]byte, ok bool) {
	if ctx == nil {
		return trace, span, false
	}
	if s, found := ctx.Value(Key{}).(Span); found {
		return s.SampledIDs()
	}
	return trace, span, false
}
