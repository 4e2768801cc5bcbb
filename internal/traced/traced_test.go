package traced_test

import (
	"context"
	"testing"

	"github.com/micro/go-platform/internal/traced"
)

// span is a span of this test's own.
type span bool

func (s span) SampledIDs() (trace [16]byte, id [8]byte, ok bool) {
	return [16]byte{1}, [8]byte{2}, bool(s)
}

func TestIDs(t *testing.T) {
	with := func(v any) context.Context { return context.WithValue(t.Context(), traced.Key{}, v) }
	for name, c := range map[string]struct {
		ctx   context.Context
		trace byte
		ok    bool
	}{
		"no context":    {nil, 0, false},
		"no span":       {t.Context(), 0, false},
		"another value": {with("span"), 0, false},
		"a nil value":   {with(nil), 0, false},
		"not sampled":   {with(span(false)), 1, false},
		"sampled":       {with(span(true)), 1, true},
	} {
		trace, id, ok := traced.IDs(c.ctx)
		if trace[0] != c.trace || id[0] != 2*c.trace || ok != c.ok {
			t.Errorf("%s: %x, %x, %v", name, trace, id, ok)
		}
	}
	ctx := with(span(true))
	if n := testing.AllocsPerRun(100, func() { traced.IDs(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
