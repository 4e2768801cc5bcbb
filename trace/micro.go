package trace

import (
	"errors"
	"strings"
)

var errMicro = errors.New("malformed x-micro header")

const (
	microTraceID  = "X-Micro-Trace-Id"
	microSpanID   = "X-Micro-Span-Id"
	microParentID = "X-Micro-Parent-Id"
	microDebug    = "X-Micro-Trace-Debug"
)

// Micro is the headers of the platform's first life: X-Micro-Trace-Id,
// X-Micro-Span-Id, X-Micro-Parent-Id and X-Micro-Trace-Debug. Ids may be UUIDs,
// as they were then, or hexadecimal digits; a span id of 128 bits is folded
// into 64, always the same way. Debug "true" asks for the trace, "false" leaves
// the decision to us: those callers made none.
func Micro() Propagator { return micro{} }

type micro struct{}

func (micro) Fields() []string {
	return []string{"x-micro-trace-id", "x-micro-span-id", "x-micro-parent-id", "x-micro-trace-debug"}
}

func (micro) Extract(c Carrier) (sc SpanContext, found bool, err error) {
	trace, span, parent := c.Get(microTraceID), c.Get(microSpanID), c.Get(microParentID)
	if trace == "" && span == "" {
		return sc, false, nil
	}
	var ok bool
	sc.TraceID, ok = microID(trace)
	if !ok || sc.TraceID.IsZero() {
		return SpanContext{}, false, errMicro
	}
	id, ok := microID(span)
	sc.SpanID = fold(id)
	if !ok || sc.SpanID.IsZero() {
		return SpanContext{}, false, errMicro
	}
	if parent != "" && parent != "0" { // "0" was a root's
		id, ok = microID(parent)
		if !ok {
			return SpanContext{}, false, errMicro
		}
		sc.ParentID = fold(id)
	}
	switch debug := c.Get(microDebug); {
	case debug == "1", strings.EqualFold(debug, "true"):
		sc.Flags = Sampled | Debug
	case debug == "", debug == "0", strings.EqualFold(debug, "false"):
		sc.Flags = Deferred
	default:
		return SpanContext{}, false, errMicro
	}
	return sc, true, nil
}

// microID reads 16 or 32 digits or a UUID, in either case.
func microID(s string) (id TraceID, ok bool) {
	if len(s) > 36 {
		return id, false
	}
	var buf [32]byte
	n := 0
	for i := range len(s) {
		c := s[i]
		if c == '-' && len(s) == 36 && (i == 8 || i == 13 || i == 18 || i == 23) {
			continue
		}
		if 'A' <= c && c <= 'F' {
			c += 'a' - 'A'
		}
		if n == len(buf) {
			return id, false
		}
		buf[n] = c
		n++
	}
	if n == 16 {
		return id, parseHex(id[8:], string(buf[:16]))
	}
	return id, parseHex(id[:], string(buf[:n]))
}

// fold makes a span id of 128 bits, or of 64 with zeros in front, one of 64.
func fold(id TraceID) (s SpanID) {
	for i := range s {
		s[i] = id[i] ^ id[i+8]
	}
	return s
}

func (micro) Inject(sc SpanContext, c Carrier) {
	c.Set(microTraceID, sc.TraceID.String())
	c.Set(microSpanID, sc.SpanID.String())
	if sc.ParentID.IsZero() {
		c.Set(microParentID, "0")
	} else {
		c.Set(microParentID, sc.ParentID.String())
	}
	if sc.Flags&Debug != 0 {
		c.Set(microDebug, "true")
	} else {
		c.Set(microDebug, "false")
	}
}
