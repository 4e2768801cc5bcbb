package trace

import "errors"

// A Propagator reads and writes one form of trace headers.
type Propagator interface {
	// Extract reads a context. found is false when no header of this form is
	// there; err is not nil when one is there and can't be used. A form that
	// can carry a decision without ids returns a context with Flags only.
	Extract(c Carrier) (sc SpanContext, found bool, err error)
	// Inject writes sc, which is valid.
	Inject(sc SpanContext, c Carrier)
	// Fields are the names of the headers.
	Fields() []string
}

// writer is a Propagator of this package that can use what traceparent wrote.
type writer interface {
	write(sc SpanContext, parent string, c Carrier)
}

// inject writes the context of s, in all forms.
func (t *tracer) inject(s Span, c Carrier) {
	sc := s.Context()
	if !sc.IsValid() {
		return
	}
	text := ""
	if own, ok := s.(interface{ traceparent() string }); ok {
		text = own.traceparent()
	}
	for _, p := range t.injectors {
		if w, ok := p.(writer); ok && text != "" {
			w.write(sc, text, c)
		} else {
			t.put(p, sc, c)
		}
	}
}

func (t *tracer) put(p Propagator, sc SpanContext, c Carrier) {
	var well bool
	defer t.caught("a propagator", &well)
	p.Inject(sc, c)
}

// read asks a propagator. Headers at which it panics count as malformed.
func (t *tracer) read(p Propagator, c Carrier) (sc SpanContext, ok bool, err error) {
	well := true
	defer func() {
		if !well {
			sc, ok, err = SpanContext{}, false, errPanicked
		}
	}()
	defer t.caught("a propagator", &well)
	return p.Extract(c)
}

var errPanicked = errors.New("it panicked")

// extract asks the propagators in turn. The first context with ids wins, then
// the first decision without ids. bad is the number of forms that were refused.
func (t *tracer) extract(c Carrier) (sc SpanContext, found bool, bad int) {
	for _, p := range t.extractors {
		got, ok, err := t.read(p, c)
		switch {
		case err != nil:
			bad++
		case !ok:
		case got.IsValid():
			return got, true, bad
		case !found:
			sc, found = got, true
		}
	}
	return sc, found, bad
}

const hexDigits = "0123456789abcdef"

// parseHex fills dst from exactly 2·len(dst) lower-case hexadecimal digits.
func parseHex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	for i := range dst {
		hi, lo := lowerHex[s[2*i]], lowerHex[s[2*i+1]]
		if hi > 15 || lo > 15 {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

// lowerHex maps a lower-case hexadecimal digit to its value, all else to 255.
var lowerHex = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range len(hexDigits) {
		t[hexDigits[i]] = byte(i)
	}
	return t
}()

func appendHex(dst, src []byte) []byte {
	for _, b := range src {
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}
