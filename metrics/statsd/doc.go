// Package statsd pushes a Metrics as statsd's lines, through go-statsd-client.
//
// # Backends
//
// Any receiver of one of the dialects, over UDP ("host:port"), TCP
// ("tcp://host:port") or a Unix datagram socket ("unixgram:///run/statsd.sock").
//
//	Plain      name.value:1|c          label values become part of the name, in the order of the keys
//	Telegraf   name,key=value:1|c      also InfluxDB's
//	DogStatsD  name:1|c|#key:value     Datadog
//	Graphite   name;key=value:1|c
//
// # Semantics
//
// What was counted since the last push is one line a series, so that datagrams
// are few and none is lost to a full socket buffer; they are at most 1432 bytes.
//
//   - A counter is its increase; without one there is no line. What could not
//     be sent is added to the next push. Few counters have fractions, such as
//     seconds of the processor: they are sent in Plain and Graphite. Telegraf and
//     the OpenTelemetry collector would cut them off, so in their dialects,
//     Telegraf and DogStatsD, a counter is sent in whole numbers, and what is left
//     when there is one more.
//   - A gauge or an up-down counter is its value. A negative one is two lines in one datagram, 0 and
//     then the value, since receivers read a sign as a change.
//   - A histogram is up to 64 of its values, each with a rate
//     whose inverse is a power of two, so that every receiver counts exactly as
//     many as were observed. One whose unit is "s" or "seconds", or whose name
//     ends in "_seconds", is sent as "ms", in milliseconds, the others as "h".
//
// Names and keys keep their dots, which are levels for statsd, Graphite and
// Datadog; Telegraf makes "_" of them unless its metric_separator says
// otherwise. A ":" becomes "_".
//
// Characters that the dialect gives a meaning to become "_" in label values, as
// do control characters; a label without a value is left out. Values are cut at
// 200 bytes.
//
// # Errors
//
// Sending over UDP has none that can be relied on. The others' are
// ErrUnavailable.
package statsd
