// Package kubernetes is a connection to a Kubernetes API server, which the
// backends of several packages share: discovery/kubernetes and others.
//
//	e, err := kubernetes.Open("in-cluster")
//	d, err := discovery.New(discoverykubernetes.On(e))
//
// It speaks the HTTP API with the standard library; client-go is not linked.
//
// # Requests
//
// Answers are bounded. What the API server puts off (429, 503 with Retry-After)
// is asked again when it says, and a client-side rate limit (WithRateLimit)
// bounds what a mistake in the program can do. A write whose answer is lost is
// never sent again: its outcome is unknown.
//
// # Watches
//
// A resource that is followed is listed once, in pages, and then watched, with
// bookmarks; all who follow it share the watch, and it ends with the last of
// them. A watch that breaks goes on from where it was; if the API server no
// longer has that, it is listed again. A connection that is silent is noticed
// within ten seconds.
//
// # Closing
//
// Close ends the watches and closes the connection. A backend that was opened
// by an address has an engine of its own and closes it; one that stands on a
// shared engine leaves it open.
package kubernetes
