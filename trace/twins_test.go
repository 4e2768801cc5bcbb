package trace_test

import (
	"github.com/micro/go-platform/trace"
	tracedriver "github.com/micro/go-platform/trace/driver"
)

// What the tracer looks for and what package trace/driver describes are the same.
var (
	_ trace.Searcher       = tracedriver.Searcher(nil)
	_ tracedriver.Searcher = trace.Searcher(nil)
)
