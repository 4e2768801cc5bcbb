// Package relay serves what one process knows of the registry to others, and
// is the backend with which those read it: the read layer of Eureka 2, without
// a cluster of its own.
//
//	// on one process of a host, or a few of a cluster
//	h, err := relay.Handler(d)
//	mux.Handle("/discovery/", http.StripPrefix("/discovery", h))
//
//	// on the others
//	d, err := discovery.New(relay.Backend("http://127.0.0.1:7070/discovery"))
//
// The registry then has as many watches as there are relays, however many
// processes read:
//
//	registry ◀─ one watch per service ─ relay ◀─ streams ─ processes
//
// # Backends
//
// A relay stands on any discovery.Discovery, also on another relay. Several
// addresses, "http://a:7070,http://b:7070", are tried in turn.
//
// # Semantics
//
// Readers get whole sets, and a sign of life every 10 s. A relay that is itself
// cut off from the registry says so, and how old its view is: its readers are
// Stale with the same AsOf, by their own clocks. Instances that the relay keeps
// by self-preservation are judged again by each reader. Names are those of the
// relay's namespace; the reader's own makes no difference.
//
// The handler does no authentication; put it behind what the service has. What
// strangers can make it do is bounded: see WithMaxStreams and WithMaxUnknown.
//
// # Errors
//
// The backend only reads: Register returns ErrUnsupported.
//
// # Closing
//
// Streams end with their request's context, so http.Server.Shutdown must be
// preceded by the relay's Discovery.Close, or bounded. A program that serves the
// Discovery which it needs itself until its end, such as one of package platform,
// gives them a context that ends when the server begins to stop:
//
//	ctx, stop := context.WithCancel(ctx)
//	until := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//		both, cancel := context.WithCancel(r.Context())
//		defer cancel()
//		defer context.AfterFunc(ctx, cancel)()
//		h.ServeHTTP(w, r.WithContext(both))
//	})
//	platform.HTTP(addr, until, func(s *http.Server) { s.RegisterOnShutdown(stop) })
package relay
