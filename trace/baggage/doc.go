// Package baggage carries named values with a request through all services
// that it reaches, as the header baggage of W3C Baggage
// (https://www.w3.org/TR/baggage/) does.
//
//	ctx, err := baggage.Set(ctx, "tenant", "acme")          // in the first service
//	tenant := baggage.FromContext(ctx).Value("tenant")      // in all that follow
//
// # Semantics
//
// Package wrapper reads and writes the header of calls and messages. Without
// wrapper, Extract and Inject do so for anything that has headers:
//
//	ctx = baggage.Extract(r.Context(), trace.Header(r.Header))
//	baggage.Inject(ctx, trace.Header(request.Header))
//
// Baggage is visible to every service and queue on the way, and whoever sends a
// request can write it: put no secret there, and decide about nobody's rights
// by it. wrapper.WithEdge drops what strangers send.
//
// Baggage reaches spans, logs and records of an event stream only where a
// program names the members:
//
//	trace.WithBaggage("tenant")               every recorded span gets an attribute
//	log.WithContext(baggage.Attrs("tenant"))  every record gets a field
//	wrapper.WithBaggage("tenant")             records that wrapper/event publishes get metadata
//
// A Baggage has at most MaxMembers members and MaxBytes bytes as a header, the
// size that every implementation of the specification passes on. A member
// that breaks the grammar, or that exceeds the limits, is dropped, and the
// others are kept. Of two members with one name the later counts. Names are
// case-sensitive.
//
// # Errors
//
// Parse and With return ErrInvalid. Extract has no error: what it can't use is
// dropped.
package baggage
