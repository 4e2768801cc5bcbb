// Package page shows a cluster to a person: one HTML page, without a build step
// or outside assets, over JSON that programs may read too.
//
//	p, err := page.New(mo, page.WithRouter(ro), page.WithTrace(tr), page.WithEvents(stream), page.WithConfig(cfg))
//	mux.Handle("/debug/platform/", http.StripPrefix("/debug/platform", p))
//
// # Semantics
//
// The page shows what the monitor of this process knows of all services:
// instances with their health and its reasons, rates, errors and latencies over
// the last minutes, what the router thinks of each instance, traces as
// waterfalls, the newest events, the configuration with its origins, history and
// differences, locks and leaders of this process, and log levels. A part that
// was not given is not shown.
//
// Beside these it draws a map of who calls whom, out of the calls that services
// report and the traces that the tracer finds; keeps one timeline of versions and
// instances that come and go, ejections, changes of configuration and of
// leaders; and searches across all of it. What is shown is in the page's
// address, so that a link shows the same to others.
//
// The endpoints, below the page's own path:
//
//	GET  api/overview               services and instances, as the monitor's views
//	GET  api/series?service=&over=&since=  rate, errors and latency of each service, 5m back unless over says otherwise
//	GET  api/map                    services, and the calls between them in the last minute
//	GET  api/timeline?kind=&service=&limit=  what happened, newest first; several kinds with commas
//	GET  api/search?q=              what has all the words of q in it, a trace by its whole id
//	GET  api/router?service=        router.Explanation; labels as label.<key>=<value>
//	GET  api/traces?service=&name=&min=&errors=1&limit=
//	GET  api/trace?id=              the spans of one trace
//	GET  api/events?type=&source=&subject=&limit=  newest first
//	GET  api/config                 values with their origins, sources, changes since the page was made
//	GET  api/documents              namespaces of the store of configuration
//	GET  api/versions?namespace=&limit=  the history of one, newest first
//	GET  api/diff?namespace=&from=&to=   what two versions differ in; from=none is from nothing
//	GET  api/locks                  what this process holds and waits for
//	GET  api/levels                 log levels by name
//	GET  api/session                who asks, and whether they may change anything
//	POST api/levels?name=&level=&for=
//	POST api/rollback?namespace=&to=&newest=&comment=
//
// Secrets are redacted everywhere. The page is read-only unless WithAuth,
// WithLogin or WithAccess allows more, and changes are taken from a page of the same origin
// only. With neither, everybody who reaches it may read: mount it where only
// operators do.
//
// A person needs no mouse: "?" lists the keys. What is shown is updated in
// place every few seconds, and said to be stale when that fails.
//
// What it keeps is bounded: the samples of all services by WithHistory, the
// timeline by 1000 moments (what repeats within ten minutes is one, with a
// count), the map by 200 services and 1000 calls.
//
// # Errors
//
// The endpoints answer 400, 401, 403, 404, 409, 421, 429, 502 or 503 with a JSON object
// whose "error" says why.
//
// # Closing
//
// Close stops the sampling. The parts stay their owner's.
package page
