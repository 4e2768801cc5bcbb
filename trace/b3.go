package trace

import "errors"

var errB3 = errors.New("malformed b3 header")

const (
	b3Header       = "B3"
	b3TraceID      = "X-B3-Traceid"
	b3SpanID       = "X-B3-Spanid"
	b3ParentSpanID = "X-B3-Parentspanid"
	b3Sampled      = "X-B3-Sampled"
	b3Flags        = "X-B3-Flags"
)

// B3Single is Zipkin's single header, b3: traceid-spanid[-state[-parentid]] or
// a state alone (https://github.com/openzipkin/b3-propagation).
func B3Single() Propagator { return b3single{} }

// B3Multi is Zipkin's five headers, X-B3-TraceId and so on.
func B3Multi() Propagator { return b3multi{} }

type (
	b3single struct{}
	b3multi  struct{}
)

func (b3single) Fields() []string { return []string{"b3"} }

func (b3single) Extract(c Carrier) (SpanContext, bool, error) {
	values := c.Values(b3Header)
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return SpanContext{}, false, nil
	}
	if len(values) > 1 {
		return SpanContext{}, false, errB3
	}
	sc, ok := parseB3(values[0])
	if !ok {
		return SpanContext{}, false, errB3
	}
	return sc, true, nil
}

// parseB3 accepts exactly the lengths that the four forms have.
func parseB3(s string) (sc SpanContext, ok bool) {
	if len(s) == 1 {
		return sc, b3State(&sc, s)
	}
	id := 32
	if len(s) > 16 && s[16] == '-' {
		id = 16
	}
	rest := len(s) - id
	// -spanid (17), -state (19), -parentid (36)
	if rest != 17 && rest != 19 && rest != 36 || s[id] != '-' ||
		!b3Trace(&sc, s[:id]) || !parseHex(sc.SpanID[:], s[id+1:id+17]) || sc.SpanID.IsZero() {
		return SpanContext{}, false
	}
	s = s[id+17:]
	if s == "" {
		sc.Flags |= Deferred
		return sc, true
	}
	if s[0] != '-' || !b3State(&sc, s[1:2]) {
		return SpanContext{}, false
	}
	s = s[2:]
	if s != "" && (s[0] != '-' || !parseHex(sc.ParentID[:], s[1:])) {
		return SpanContext{}, false
	}
	return sc, true
}

// b3Trace reads 16 digits, to which zeros are put in front, or 32.
func b3Trace(sc *SpanContext, s string) bool {
	if len(s) == 16 {
		return parseHex(sc.TraceID[8:], s) && !sc.TraceID.IsZero()
	}
	return parseHex(sc.TraceID[:], s) && !sc.TraceID.IsZero()
}

func b3State(sc *SpanContext, s string) bool {
	switch s {
	case "0":
	case "1":
		sc.Flags |= Sampled
	case "d":
		sc.Flags |= Sampled | Debug
	default:
		return false
	}
	return true
}

// write needs no text of its own for a trace that is not recorded, which is most
// of them: traceparent's ids, and the first digit of its flags, are b3.
func (p b3single) write(sc SpanContext, parent string, c Carrier) {
	if sc.Flags&(Sampled|Debug|Deferred) == 0 {
		c.Set(b3Header, parent[len("00-"):len(parent)-1])
		return
	}
	p.Inject(sc, c)
}

func (b3single) Inject(sc SpanContext, c Carrier) {
	var buf [68]byte
	b := appendHex(buf[:0], sc.TraceID[:])
	b = append(b, '-')
	b = appendHex(b, sc.SpanID[:])
	switch {
	case sc.Flags&Debug != 0:
		b = append(b, "-d"...)
	case sc.Sampled():
		b = append(b, "-1"...)
	case sc.Flags&Deferred == 0:
		b = append(b, "-0"...)
	}
	if !sc.ParentID.IsZero() && sc.Flags&(Debug|Sampled) != 0 {
		b = append(b, '-')
		b = appendHex(b, sc.ParentID[:])
	}
	c.Set(b3Header, string(b))
}

func (b3multi) Fields() []string {
	return []string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}
}

func (b3multi) Extract(c Carrier) (sc SpanContext, found bool, err error) {
	trace, span := c.Get(b3TraceID), c.Get(b3SpanID)
	parent, sampled, flags := c.Get(b3ParentSpanID), c.Get(b3Sampled), c.Get(b3Flags)
	if trace == "" && span == "" && parent == "" && sampled == "" && flags == "" {
		return sc, false, nil
	}
	if len(c.Values(b3TraceID)) > 1 || len(c.Values(b3SpanID)) > 1 {
		return sc, false, errB3
	}
	switch sampled {
	case "1", "true", "True", "TRUE":
		sc.Flags |= Sampled
	case "0", "false", "False", "FALSE":
	case "":
		sc.Flags |= Deferred
	default:
		return SpanContext{}, false, errB3
	}
	switch flags {
	case "1":
		sc.Flags = Sampled | Debug
	case "", "0":
	default:
		return SpanContext{}, false, errB3
	}
	if trace == "" && span == "" {
		if parent != "" || sc.Flags&Deferred != 0 {
			return SpanContext{}, false, errB3
		}
		return sc, true, nil // a decision alone
	}
	if !b3Trace(&sc, trace) || !parseHex(sc.SpanID[:], span) || sc.SpanID.IsZero() ||
		parent != "" && !parseHex(sc.ParentID[:], parent) {
		return SpanContext{}, false, errB3
	}
	return sc, true, nil
}

func (b3multi) Inject(sc SpanContext, c Carrier) {
	c.Set(b3TraceID, sc.TraceID.String())
	c.Set(b3SpanID, sc.SpanID.String())
	if !sc.ParentID.IsZero() {
		c.Set(b3ParentSpanID, sc.ParentID.String())
	}
	switch {
	case sc.Flags&Debug != 0: // implies that it is sampled; both are never sent
		c.Set(b3Flags, "1")
	case sc.Sampled():
		c.Set(b3Sampled, "1")
	case sc.Flags&Deferred == 0:
		c.Set(b3Sampled, "0")
	}
}
