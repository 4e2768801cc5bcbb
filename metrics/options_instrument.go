package metrics

// InstrumentOption describes an instrument. The first call for a name decides.
// An instrument with a nil option is refused.
type InstrumentOption func(*instrumentOptions)

type instrumentOptions struct {
	help, unit string
	bounds     []float64
	limit      int
}

// Help says what the instrument measures.
func Help(text string) InstrumentOption {
	return func(o *instrumentOptions) { o.help = text }
}

// Unit names the unit: with UCUM's code, as OpenTelemetry does ("s", "By",
// "1" for a ratio, "{request}" for what is counted), or with a word in the
// plural ("seconds"). Prometheus' names end in the word.
func Unit(unit string) InstrumentOption {
	return func(o *instrumentOptions) { o.unit = unit }
}

// Buckets sets the upper bounds of a histogram's buckets. They are sorted,
// and what is not finite or is double is left out. Without it there are
// DefaultBuckets.
func Buckets(bounds ...float64) InstrumentOption {
	return func(o *instrumentOptions) { o.bounds = bounds }
}

// Limit sets how many series the instrument may have; 0 means the limit of
// the whole (WithSeriesLimit), below 0 none. What is over it is counted in one
// series whose label values are all Overflow.
func Limit(series int) InstrumentOption {
	return func(o *instrumentOptions) { o.limit = series }
}

// DefaultBuckets returns bounds for the durations of calls, in seconds: those
// that OpenTelemetry's conventions ask for.
func DefaultBuckets() []float64 {
	return []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
}
