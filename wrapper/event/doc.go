// Package event puts a wrapper around the handlers of an event stream, and
// around what is published to it.
//
//	stream, err := event.New(redis.Backend(addr))
//	orders := wevent.Stream(w, stream)
//	orders.Subscribe(ctx, charge, event.Group("billing")) // traced, counted, logged, limited
//	orders.Publish(ctx, record)                           // carries trace, request id and labels
//
// # Semantics
//
// A published record gets, in its metadata, the span's context, the request's
// identity, the labels and the baggage. wrapper.WithBaggage adds members of the
// baggage under their own names. The record itself isn't changed: a copy is
// published.
// RootID and ParentID are event's own: they flow from a handler's context.
//
//	trace   publish order.created ─ consume order.created ─ publish … ─ consume …
//
// A handler is called within a span that is a child of the publishing one, with
// the labels, the baggage and the request's identity for the calls that it makes, and within
// WithServerTimeout. The context is still event's: it lives until the handler
// returns, and has the record's cause and delivery. A limiter that refuses a
// record makes it wait, so that it doesn't become a dead letter for coming at a
// busy time. Auth is not asked: a stream may keep for years what is published
// to it, and no token belongs there. Who may publish is decided by the backend.
//
// The type of a record is the method under which it is counted: the first 200
// types that a stream or handler sees, and "_OTHER" for the rest. Several records
// of one Publish are one call; if their types differ it is "_several".
//
// # Errors
//
// Errors pass as they are. A panic is recorded with its stack and passes on to
// the stream, which counts it and makes it an error.
//
// # Closing
//
// The Wrapper's Close first closes the subscriptions that were made through
// Stream, which waits for their handlers. The stream is closed by its user.
package event
