package metrics

// InstrumentOption describes an instrument. The first call for a name decides.
type InstrumentOption func(*instrumentOptions)

type instrumentOptions struct {
	help, unit string
	bounds     []float64
	limit      int
}

// WithHelp says what the instrument measures.
func WithHelp(text string) InstrumentOption {
	return func(o *instrumentOptions) { o.help = text }
}

// WithUnit names the unit in the plural: "seconds", "bytes".
func WithUnit(unit string) InstrumentOption {
	return func(o *instrumentOptions) { o.unit = unit }
}

// WithBuckets sets the upper bounds of a histogram's buckets. They are sorted,
// and what is not finite or is double is left out. Without it there are
// DefaultBuckets.
func WithBuckets(bounds ...float64) InstrumentOption {
	return func(o *instrumentOptions) { o.bounds = bounds }
}

// WithLimit sets how many series the instrument may have; 0 means the limit of
// the whole (WithSeriesLimit), below 0 none. What is over it is counted in one
// series whose label values are all Overflow.
func WithLimit(series int) InstrumentOption {
	return func(o *instrumentOptions) { o.limit = series }
}

// DefaultBuckets returns bounds for the durations of calls, in seconds.
func DefaultBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}
