package trace

import (
	"errors"
	"strings"
)

const (
	traceparentHeader = "Traceparent"
	tracestateHeader  = "Tracestate"

	maxStateMembers = 32
	maxStateBytes   = 8 << 10 // what is longer was made to hurt: the grammar's longest useful one is far below
)

var (
	errTraceparent = errors.New("malformed traceparent")
	errTwoParents  = errors.New("more than one traceparent")
	errTracestate  = errors.New("tracestate too long")
)

// W3C is the Trace Context recommendation, level 2
// (https://www.w3.org/TR/trace-context-2/): traceparent and tracestate.
//
// More than one traceparent, or a tracestate over 8 KiB, is refused as a whole.
// A tracestate that breaks its grammar is left out and the trace goes on, as
// section 3.3 asks. What was received is passed on as it was.
func W3C() Propagator { return w3c{} }

type w3c struct{}

func (w3c) Fields() []string { return []string{"traceparent", "tracestate"} }

func (w3c) Extract(c Carrier) (SpanContext, bool, error) {
	parents := c.Values(traceparentHeader)
	if len(parents) == 0 {
		return SpanContext{}, false, nil // a tracestate alone means nothing
	}
	if len(parents) > 1 {
		return SpanContext{}, false, errTwoParents
	}
	sc, ok := parseTraceparent(strings.Trim(parents[0], " \t"))
	if !ok {
		return SpanContext{}, false, errTraceparent
	}
	if states := c.Values(tracestateHeader); len(states) > 0 {
		n := 0
		for _, s := range states {
			n += len(s)
		}
		if n > maxStateBytes {
			return SpanContext{}, false, errTracestate
		}
		sc.State = parseTracestate(states)
	}
	return sc, true, nil
}

// parseTraceparent reads version-traceid-parentid-flags. Versions above 00 may
// go on after a further "-".
func parseTraceparent(s string) (sc SpanContext, ok bool) {
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return sc, false
	}
	var version, flags [1]byte
	if !parseHex(version[:], s[:2]) || !parseHex(sc.TraceID[:], s[3:35]) ||
		!parseHex(sc.SpanID[:], s[36:52]) || !parseHex(flags[:], s[53:55]) || !sc.IsValid() {
		return SpanContext{}, false
	}
	switch {
	case version[0] == 0xff,
		version[0] == 0 && len(s) > 55,
		len(s) > 55 && s[55] != '-':
		return SpanContext{}, false
	}
	sc.Flags = Flags(flags[0]) & (Sampled | Random) // the same bits as ours
	return sc, true
}

// parseTracestate joins the header's lines in order and returns them without
// white space and empty members, or "" if they break the grammar.
func parseTracestate(lines []string) string {
	if len(lines) == 1 && plainState(lines[0]) {
		return lines[0]
	}
	var b strings.Builder
	members := 0
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			member = strings.Trim(member, " \t")
			if member == "" {
				continue
			}
			members++
			if members > maxStateMembers || !validMember(member) {
				return ""
			}
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(member)
		}
	}
	return b.String()
}

// plainState reports whether s is a list that can be passed on as it is.
func plainState(s string) bool {
	members := 0
	for member := range strings.SplitSeq(s, ",") {
		members++
		if members > maxStateMembers || !validMember(member) {
			return false
		}
	}
	return true
}

// validMember checks key=value: the key a lower-case letter or digit and up to
// 255 more of [a-z0-9_-*/@], the value 1 to 256 printable ASCII characters
// without "," and "=", not ending in a space.
func validMember(m string) bool {
	key, value, ok := strings.Cut(m, "=")
	if !ok || key == "" || len(key) > 256 || value == "" || len(value) > 256 || value[len(value)-1] == ' ' {
		return false
	}
	for i := range len(key) {
		c := key[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '-' || c == '*' || c == '/' || c == '@'):
		default:
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '=' {
			return false
		}
	}
	return true
}

func (p w3c) Inject(sc SpanContext, c Carrier) { p.write(sc, traceparent(sc), c) }

func (w3c) write(sc SpanContext, parent string, c Carrier) {
	c.Set(traceparentHeader, parent)
	if sc.State != "" {
		c.Set(tracestateHeader, sc.State)
	}
}

// traceparent writes version 00.
func traceparent(sc SpanContext) string {
	var buf [55]byte
	b := append(buf[:0], "00-"...)
	b = appendHex(b, sc.TraceID[:])
	b = append(b, '-')
	b = appendHex(b, sc.SpanID[:])
	b = append(b, '-', '0', hexDigits[sc.Flags&(Sampled|Random)])
	return string(b)
}
