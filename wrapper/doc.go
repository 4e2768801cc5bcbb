// Package wrapper composes the other packages into middleware around services
// that exist already.
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
//	       { pick an instance → attempt span → send → Done } again on another instance, within a budget → you
//
// # Semantics
//
// A client sends again what was certainly not processed, and idempotent calls
// that failed on the way or were answered with 502, 503, 504, or 429 with
// Retry-After. A budget for each service keeps retries below a fifth of the
// calls. The last answer is returned as it came. A caller's request is never
// changed and its body never read ahead; a body without GetBody is kept while
// it is sent, up to 64 KiB, to be sent again.
//
// Deadlines travel as remaining time (X-Deadline-Ms), labels as
// X-Micro-Label-<key>, the request's identity as X-Request-Id.
// Client-chosen strings never become names of metrics or spans: an HTTP
// server's method is the pattern of the ServeMux that matched.
//
// The response writer that a handler gets is a Flusher, Hijacker, ReaderFrom
// and Pusher if, and only if, the server's is. A panic is recorded and answered
// with 500 if nothing was written yet; http.ErrAbortHandler passes.
//
// # Errors
//
// A refused call is answered with 401, 403, 429 or 503. A client returns
// router.ErrNoInstances and its kin, and the transport's own errors.
//
// # Closing
//
// Close goes in order: say that the process drains, deregister, close the
// subscriptions of wrapper/event, wait for calls in progress, run what
// WithOnClose gave, flush and close the parts.
package wrapper
