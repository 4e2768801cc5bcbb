package trace_test

import (
	"testing"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/tracetest"
)

func TestConformance(t *testing.T) {
	m := trace.NewStore(0, 0)
	tracetest.Run(t, tracetest.Harness{
		Backend:  func(testing.TB) trace.Option { return trace.Memory(m) },
		Features: tracetest.Features{Addresses: true, TypedTags: true, EventTags: true, Links: true},
	})
}
