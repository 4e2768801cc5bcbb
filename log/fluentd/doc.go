// Package fluentd sends records by Fluentd's forward protocol, version 1, to
// Fluentd, Fluent Bit or the OpenTelemetry collector.
//
// # Backends
//
// "tcp://host:port" (the default scheme, port 24224), "tls://host:port", and
// "unix:///path". WithSharedKey and WithUser prove who we are in the protocol's
// handshake.
//
// # Semantics
//
// Records go in PackedForward messages, each with a chunk id that the server
// acknowledges once it has the records safe: what was not acknowledged is sent
// again, with the same id, so that nothing is lost and a server that remembers
// ids has nothing twice. WithoutAck trusts the connection instead.
//
// A record's time is an EventTime, to the nanosecond. Level, logger, message and
// source stand beside the attributes; groups are nested maps, numbers and
// booleans keep their types, durations are in nanoseconds, times RFC 3339.
//
// # Errors
//
// What can't be reached or does not acknowledge in time is ErrUnavailable and
// tried again for as long as the queue holds. A refused handshake is too: the
// server's key may change.
package fluentd
