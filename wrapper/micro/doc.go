// Package micro puts a wrapper around services and clients made with go-micro
// v5, and lets the router choose the instance of each call. It is a module of
// its own, so that go-micro is linked only by those who use it.
//
//	service := gomicro.NewService(
//		gomicro.Name("orders"),
//		gomicro.WrapHandler(micro.Handler(w)),
//		gomicro.WrapSubscriber(micro.Subscriber(w)),
//		gomicro.WrapClient(micro.Client(w)),
//	)
//
// # Semantics
//
// The order is that of package wrapper. A method is an endpoint
// ("Greeter.Hello") or, of a message, its topic. Labels, the request's
// identity, trace and token travel as go-micro's metadata, deadlines as
// X-Deadline-Ms and as go-micro's Timeout, which gets the time that remains. A
// call has no URL here, so proofs of possession (RFC 9449) are for a POST to
// micro://service/endpoint; the name of w at the server is that of the service.
//
// If w has a router, each attempt goes to an instance that it picks; register
// the services in its discovery, or let it read go-micro's own registry with
// Registry. Without one go-micro's selector picks. Calls are sent again by w,
// in its budget and never by go-micro: those that were certainly not processed,
// and, if they are idempotent (WithIdempotent), those that failed on the way or
// were refused. Each attempt has an answer of its own, which the caller's
// becomes only if it counts: go-micro may still write into that of an attempt
// that was given up. Streams are not sent again.
//
// A message that a subscriber refuses is lost, as with go-micro: limits make it
// wait.
//
// # Errors
//
// A refused call ends with go-micro's 401, 403, 429 or 503, a panic with 500.
//
// # Closing
//
// Stop the service in WithOnClose.
package micro
