// Package page shows a cluster to a person: one HTML page, without a build step
// or outside assets, over JSON that programs may read too.
//
//	p, err := page.New(mo, page.WithRouter(ro), page.WithTrace(tr), page.WithEvents(stream), page.WithConfig(cfg))
//	mux.Handle("/debug/platform/", http.StripPrefix("/debug/platform", p))
//
// # Semantics
//
// The page shows what the monitor of this process knows of all services:
// instances with their health and its reasons, rates and latencies over the
// last minutes, what the router thinks of each instance, traces as waterfalls,
// the newest events, the configuration with its origins, and log levels. A part
// that was not given is not shown.
//
// The endpoints, below the page's own path:
//
//	GET  api/overview               services and instances, as the monitor's views
//	GET  api/series                 rate, errors and latency of each service, a sample each 2 s for 5 min
//	GET  api/router?service=        router.Explanation; labels as label.<key>=<value>
//	GET  api/traces?service=&name=&min=&errors=1&limit=
//	GET  api/trace?id=              the spans of one trace
//	GET  api/events?type=&limit=    newest first
//	GET  api/config                 values with their origins; secrets redacted
//	GET  api/levels                 log levels by name
//	POST api/levels?name=&level=&for=
//
// It is read-only unless WithAccess allows more. Without WithAccess everybody
// who reaches it may read: mount it where only operators do.
//
// # Errors
//
// The endpoints answer 400, 403, 404 or 502 with a JSON object whose "error"
// says why.
//
// # Closing
//
// Close stops the sampling. The parts stay their owner's.
package page
