// Package wrapper makes middleware of the other packages: around an HTTP handler
// and an HTTP client that you already have it adds logs, traces, metrics,
// authorization, load balancing, retries, deadlines and limits.
//
//	w, err := wrapper.New(
//		wrapper.WithName("orders"),
//		wrapper.WithLog(lg), wrapper.WithTrace(tr), wrapper.WithMetrics(mt),
//		wrapper.WithMonitor(mo), wrapper.WithAuth(au), wrapper.WithRouter(ro),
//	)
//	http.ListenAndServe(addr, w.Handler(mux)) // around any http.Handler
//	client := w.Client()                      // http://greeter/hello finds, balances, retries
//
// Any part may be left out. Each call has one record (Call), which observers
// watch and gates let through or refuse:
//
//	in   → recover → request id → trace, metrics, log, monitor → deadline → limits → auth → your handler
//	out  → request id, labels, deadline, token → trace, metrics, log, monitor →
//	       { pick an instance → send → Done } again on another instance, within a budget → you
//
// wrapper/grpc, wrapper/event and wrapper/micro do the same for other protocols,
// and wrapper/store observes what databases, stores and locks are asked. What is
// seen has the names of OpenTelemetry's semantic conventions: docs/semconv.md.
//
// # Semantics
//
// A client sends again what was certainly not sent, whatever the method, and
// idempotent calls that failed on the way or were answered with 502, 503, 504,
// or 429 with Retry-After. What was sent is known from the transport
// (net/http/httptrace: before there is a connection, with its TLS handshake
// done, nothing was), and never from what an error is called: it may be that of
// the request's own body. A budget for each service keeps retries below a fifth
// of the calls. The last answer is returned as it came. A caller's request is
// never changed and its body never read ahead; a body without GetBody is kept
// while it is sent, up to 64 KiB, to be sent again.
//
// Deadlines travel as remaining time (X-Deadline-Ms), labels as
// X-Micro-Label-<key>, the request's identity as X-Request-Id, and the baggage
// of package trace/baggage as baggage; over HTTP they go to services that are
// called by name (WithServices), and to no other host. At the border to
// strangers WithEdge drops what came with a call. A call whose deadline is over runs no handler;
// one without an answer at its deadline is answered 504, and what its handler
// says later is dropped and counted (Call.Late). A call that goes out without a
// deadline waits 30 s for the answer's headers (WithClientTimeout), and an
// idempotent one that is overdue is sent to a second instance (RetryPolicy.Late).
// The router hears of no failure that only the caller is to blame for: one who
// left, or whose deadline was shorter than what is usual.
//
// Client-chosen strings never become names of metrics or spans: an HTTP
// server's method is the pattern of the ServeMux that matched, or what Route and
// SetRoute say for other routers. The class of an answer of gRPC, gRPC-Web or
// Connect is that of its own status, which may come in trailers or at the end
// of the body.
//
// The response writer that a handler gets is a Flusher, Hijacker, ReaderFrom
// and Pusher if, and only if, the server's is. A panic is recorded and answered
// with 500 if nothing was written yet, without what the handler had set;
// http.ErrAbortHandler passes.
//
// # Errors
//
// A refused call is answered with 401, 403, 429, 503 or 504, one of gRPC,
// gRPC-Web or Connect with the code that means the same. A client returns
// router.ErrNoInstances and its kin, and the transport's own errors.
//
// # Closing
//
// Close goes in order: say that the process drains, deregister, close the
// subscriptions of wrapper/event, run what WithOnDrain gave while calls in progress
// end, run what WithOnClose gave, flush and close the parts.
package wrapper
