// Package events publishes records to an event stream, on any of its backends.
//
// # Semantics
//
// A record is an event of type "log." and its level in lower case, whose data is
// the record as JSON and whose subject is the logger. What may have been
// published already is published again under the same id.
//
// Subscribe with event.Types("log.*"). A stream that itself logs must not log to
// an output that is on it: each record would make another.
//
// # Closing
//
// Close of the log leaves the stream open: it is the caller's.
package events
